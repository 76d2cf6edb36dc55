"""Writes bench/RESULTS.md from what `run` and `change` last stored under bench/.cache."""

import json

from . import tools
from .figures import paired_ratio, spread

# The cells of a run: routes configured, and which of them is asked for.
CELLS = ["one", "first", "middle", "last"]
# Targets: name, limit, unit.
CPU_TO_ENVOY = 0.6
CPU_TO_ITSELF = 1.05
MEMORY_MB = 60
CHANGE_MS = 10


def store(name, result):
    """Keeps the result of `run` or `change`, and writes RESULTS.md anew from both."""
    tools.CACHE.mkdir(exist_ok=True)
    _path(name).write_text(json.dumps(result, indent=1), encoding="utf-8")
    parts = [_load(name) for name in ("run", "change")]
    text = render(*parts)
    (tools.BENCH / "RESULTS.md").write_text(text, encoding="utf-8")
    return text


def render(run, change):
    """The whole file."""
    lines = [
        "# Results",
        "",
        "Written by `bench/run` and `bench/change`; don't edit. What each figure means, and how"
        " far to trust it: [README.md](README.md).",
        "",
        *_targets(run, change),
    ]
    if run:
        lines += _run_section(run)
    if change:
        lines += _change_section(change)
    return "\n".join(lines) + "\n"


def _targets(run, change):
    rows = []
    if run and "nuncio" in run["peers"]:
        ratio = _ratio(run, "nuncio", "envoy", "one")
        if ratio:
            rows.append(("CPU per request, one route, to Envoy's", ratio, CPU_TO_ENVOY, "x"))
        for cell in ("first", "middle", "last"):
            ratio = paired_ratio(_cpu(run, "nuncio", cell), _cpu(run, "nuncio", "one"))
            name = f"CPU per request, {run['routes']:,} routes ({cell}) to one route"
            rows.append((name, ratio, CPU_TO_ITSELF, "x"))
        for kind, title in (("now", "after load"), ("peak", "at its peak (the start)")):
            name = f"memory {title}, {run['routes']:,} routes"
            megabytes = run["memory"]["nuncio"]["many"][kind] / 1e6
            rows.append((name, spread([megabytes]), MEMORY_MB, "MB"))
    if change:
        p99 = change["alone"]["inside_p99_ms"]
        if p99 is not None:
            rows.append(("event to served, p99, inside", spread([p99]), CHANGE_MS, "ms"))
    if not rows:
        return []
    lines = ["## Targets", "", "| what | target | measured (least – greatest) | met |"]
    lines.append("|---|---|---|---|")
    for name, value, limit, unit in rows:
        met = "yes" if value["median"] <= limit else "**no**"
        measured = f"{value['median']:.2f} {unit} ({value['min']:.2f} – {value['max']:.2f})"
        lines.append(f"| {name} | ≤ {limit} {unit} | {measured} | {met} |")
    return [*lines, ""]


def _run_section(run):
    machine = run["machine"]
    lines = [
        "## Side by side",
        "",
        f"{machine['date']} · {machine['cpu']}, {machine['cores']} cores, Linux"
        f" {machine['kernel']}, load average {machine['load_at_start']} before the start ·"
        f" Nuncio: {machine['nuncio']} · {run['rounds']} rounds of {run['seconds']} s,"
        f" {run['connections']} connections,"
        f" HTTP/1.1 keep-alive, 130-byte body, one proxy worker on one core.",
        "",
        "| peer | version | adds to a request |",
        "|---|---|---|",
    ]
    for name in run["peers"]:
        lines.append(f"| {name} | {run['versions'][name]} | {', '.join(run['adds'][name])} |")
    titles = {"one": "1 route"}
    for cell in CELLS:
        title = titles.get(cell, f"{run['routes']:,} routes, the {cell} one")
        lines += ["", f"### {title}", "", *_cell_table(run, cell)]
    return [*lines, "", *_memory_table(run), ""]


def _cell_table(run, cell):
    lines = [
        "| peer | CPU µs/request (least – greatest) | of it kernel | to Envoy | requests/s |"
        " p50 ms | p99 ms | errors | worker busy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in run["peers"]:
        samples = run["samples"][name][cell]
        middle = {key: spread(s[key] for s in samples)["median"] for key in samples[0]}
        cpu = spread(_cpu(run, name, cell))
        ratio = _ratio(run, name, "envoy", cell)
        cells = [
            name,
            _with_spread(cpu, ".1f"),
            f"{middle['system_us']:.1f}",
            _with_spread(ratio, ".2f") if ratio else "–",
            f"{middle['rate']:,.0f}",
            f"{middle['p50_us'] / 1000:.2f}",
            f"{middle['p99_us'] / 1000:.2f}",
            f"{sum(sample['errors'] for sample in samples)}",
            f"{middle['busy']:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _memory_table(run):
    lines = [
        "### Memory and start",
        "",
        f"| peer | 1 route: MB after load | {run['routes']:,} routes: MB after load | peak MB |"
        f" start to the first answer, 1 route | {run['routes']:,} routes |",
        "|---|---|---|---|---|---|",
    ]
    for name in run["peers"]:
        memory, start = run["memory"][name], run["start"][name]
        lines.append(
            f"| {name} | {memory['one']['now'] / 1e6:.0f} | {memory['many']['now'] / 1e6:.0f}"
            f" | {memory['many']['peak'] / 1e6:.0f} | {start['one']:.2f} s"
            f" | {start['many']:.2f} s |"
        )
    return lines


def _change_section(change):
    machine = change["machine"]
    lines = [
        "## A change of one route",
        "",
        f"{machine['date']} · load average {machine['load_at_start']} before the start · Nuncio:"
        f" {machine['nuncio']} · `nuncio serve` on {change['routes']:,} files, a Mapping each;"
        f" {change['alone']['changes']} changes of one file's rewrite, nothing else"
        f" going on, then {change['loaded']['changes']} under load on another route.",
        "",
        "| | alone | under load |",
        "|---|---|---|",
    ]
    rows = [
        ("rename of the file to the first new answer, p50", "outside_p50_ms", "ms"),
        ("the same, p99", "outside_p99_ms", "ms"),
        ("the same, greatest", "outside_max_ms", "ms"),
        ("inside, event to swap: mean", "inside_mean_ms", "ms"),
        ("inside, event to swap: p99 is at most (histogram)", "inside_p99_ms", "ms"),
        ("CPU a change, whole process", "cpu_ms", "ms"),
        ("wrong or failed answers", "errors", ""),
    ]
    for title, key, unit in rows:
        shown = (_shown(change[part][key], unit) for part in ("alone", "loaded"))
        lines.append(f"| {title} | {' | '.join(shown)} |")
    memory = change["memory"]
    lines += [
        "",
        f"Memory: {memory['before']['now'] / 1e6:.0f} MB before the changes,"
        f" {memory['after']['now'] / 1e6:.0f} MB after them, peak"
        f" {memory['after']['peak'] / 1e6:.0f} MB. Start to the first answer:"
        f" {change['start']:.2f} s.",
    ]
    return lines


def _with_spread(value, form):
    return f"{value['median']:{form}} ({value['min']:{form}} – {value['max']:{form}})"


def _shown(value, unit):
    if value is None:
        return "–"
    return f"{value} " if isinstance(value, int) else f"{value:.2f} {unit}"


def _ratio(run, name, other, cell):
    """CPU per request of `name` to `other`'s; None where `other` wasn't run."""
    if other not in run["peers"]:
        return None
    return paired_ratio(_cpu(run, name, cell), _cpu(run, other, cell))


def _cpu(run, name, cell):
    return [sample["cpu_us"] for sample in run["samples"][name][cell]]


def _path(name):
    return tools.CACHE / f"{name}.json"


def _load(name):
    try:
        return json.loads(_path(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None

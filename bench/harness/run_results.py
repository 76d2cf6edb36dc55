"""What `bench/run` found, for RESULTS.md."""

from .sites import CELLS, SITES
from .tables import bars, cpu_ratio, cpu_table, errors, middle, with_spread
from .figures import paired_ratio, spread
from .targets import TARGETS

MIB = 1 << 20


def build(machine, given, found):
    """The result. `found` has `samples` (runs by cell and peer), `versions`, `adds`, `memory` and
    `start`."""
    samples = found["samples"]
    tables = [_peers(found)]
    if one := samples.get("one"):
        tables.append(cpu_table("1 route", one))
    if samples.get("one") and samples.get("log"):
        tables.append(_log_table(samples))
    tables += [_routes_table(samples), _memory_table(found)]
    return {
        "title": "HTTP/1.1, and how it grows with the routes",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s, {given.connections} connections,"
        " HTTP/1.1 keep-alive, 130-byte body, one proxy worker on one core.",
        "measured": {key: value for key, value in _measured(found).items() if value},
        "tables": tables,
        "bars": _bars(found),
    }


def _measured(found):
    samples = found["samples"]
    one = samples.get("one", {})
    own = {cell: runs["nuncio"] for cell, runs in samples.items() if runs.get("nuncio")}
    measured = {
        "h1-envoy": cpu_ratio(one, "nuncio", "envoy"),
        "h1-best": to_best(one),
        "log": cpu_ratio(own, "log", "one"),
        "regex-100": cpu_ratio(own, "regex-100", "regex-1"),
        "memory-10000": _mebibytes(found, "prefix-10000"),
    }
    routes = {cell: cpu_ratio(own, cell, "one") for cell in samples if cell in TARGETS}
    return {**routes, **measured}


def to_best(one):
    """Nuncio's CPU to the better of nginx and HAProxy: of that one which is better by its median."""
    others = [name for name in ("nginx", "haproxy") if one.get(name)]
    if not others:
        return None
    return cpu_ratio(one, "nuncio", min(others, key=lambda name: middle(one[name], "cpu_us")))


def _mebibytes(found, site):
    memory = found["memory"].get("nuncio", {}).get(site)
    return spread([memory["now"] / MIB]) if memory else None


def _peers(found):
    rows = [
        [name, version, ", ".join(found["adds"][name])]
        for name, version in found["versions"].items()
    ]
    columns = ["peer", "version", "adds to a request"]
    return {"title": "Peers", "columns": columns, "rows": rows}


def _log_table(samples):
    rows = []
    for name, runs in samples["log"].items():
        both = [[run["cpu_us"] for run in part] for part in (runs, samples["one"][name])]
        rows.append(
            [
                name,
                with_spread(spread(both[1]), ".1f"),
                with_spread(spread(both[0]), ".1f"),
                with_spread(paired_ratio(*both), ".2f"),
                errors(runs),
            ]
        )
    columns = ["peer", "off: CPU µs a request", "on", "on to off", "errors"]
    text = "Each writes a line a request to a file in its usual form, gathered as it can."
    return {"title": "With the access log", "text": text, "columns": columns, "rows": rows}


def _routes_table(samples):
    peers = list(dict.fromkeys(name for runs in samples.values() for name in runs))
    peers = [name for name in peers if name != "envoy-lean"]
    rows = []
    for cell, runs in samples.items():
        if cell == "log":
            continue
        site = SITES[CELLS[cell].site]
        ratio = cpu_ratio({"a": runs.get("nuncio"), "b": _base(samples, site)}, "a", "b")
        row = [f"{site.count:,} by {site.kind}", CELLS[cell].place if site.count > 1 else "the one"]
        row += [_cpu(runs.get(name)) for name in peers]
        rows.append([*row, with_spread(ratio, ".2f") if ratio else "–"])
    columns = ["routes", "asked for", *(f"{name}: CPU µs" for name in peers)]
    columns.append("nuncio to its own with one")
    text = "The median; a dash where it isn't measured. One of regexes is compared with one regex."
    return {"title": "CPU a request, by routes", "text": text, "columns": columns, "rows": rows}


def _base(samples, site):
    cell = "regex-1" if site.kind == "regex" else "one"
    return samples.get(cell, {}).get("nuncio")


def _cpu(runs):
    if not runs:
        return "–"
    void = " **void**" if errors(runs) else ""
    return f"{middle(runs, 'cpu_us'):.1f}{void}"


def _memory_table(found):
    memory, start = found["memory"], found["start"]
    sites = list(dict.fromkeys(site for sites in memory.values() for site in sites))
    rows = []
    for site in sites:
        row = [site]
        for name in memory:
            if site in memory[name]:
                now, peak = (memory[name][site][part] / MIB for part in ("now", "peak"))
                row.append(f"{now:.0f} · {peak:.0f} · {start[name][site]:.2f}")
            else:
                row.append("–")
        rows.append(row)
    text = "MiB after the load · MiB at the peak · seconds from the start to the first answer."
    columns = ["routes", *memory]
    return {"title": "Memory and start", "text": text, "columns": columns, "rows": rows}


def _bars(found):
    samples = found["samples"]
    shown = {
        "one": "HTTP/1.1, one route",
        "prefix-10000-last": "HTTP/1.1, the last of 10,000 routes",
    }
    groups = {title: samples[cell] for cell, title in shown.items() if samples.get(cell)}
    memory = {
        name: sites["prefix-10000"]["now"] / MIB
        for name, sites in found["memory"].items()
        if "prefix-10000" in sites
    }
    pictures = {"cpu": bars(groups)}
    if memory:
        pictures["memory"] = {"10,000 routes, after load": memory}
    return pictures

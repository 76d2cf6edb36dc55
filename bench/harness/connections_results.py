"""What `bench/connections` found, for RESULTS.md."""

from .figures import spread
from .tables import cpu_ratio, errors, middle, versions_table, with_spread

# What goes on beside the others, by state.
STATES = {
    "alone": "undisturbed",
    "idle": "beside {idle:,} idle connections",
    "new": "beside {idle:,} idle and {new:,} new a second",
}
COLUMNS = ["peer", "p50 ms", "p99 ms (least – greatest)", "p99.9 ms", "p99 to undisturbed"]
COLUMNS += ["CPU, % of a core", "MiB", "errors"]


def build(machine, given, versions, samples):
    """The result. `samples` are lists of runs by state and peer."""
    tables = [_table(state, given, samples) for state in STATES]
    return {
        "title": "Connections",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s for each state, {given.rate:,} requests"
        " a second of others over 64 connections, HTTP/1.1, one proxy worker on one core.",
        "measured": {"connections-p99": _ratio(samples, "new", "nuncio")},
        "tables": [versions_table(versions), *tables],
    }


def _ratio(samples, state, name):
    both = {"disturbed": samples[state][name], "alone": samples["alone"][name]}
    return cpu_ratio(both, "disturbed", "alone", "p99_us")


def _table(state, given, samples):
    rows = []
    for name, runs in samples[state].items():
        row = [name, f"{middle(runs, 'p50_us') / 1000:.2f}"]
        row.append(with_spread(spread(run["p99_us"] / 1000 for run in runs), ".2f"))
        row.append(f"{middle(runs, 'p999_us') / 1000:.2f}")
        row.append(with_spread(_ratio(samples, state, name), ".2f"))
        row.append(f"{middle(runs, 'cpu_us') * given.rate / 1e6:.0%}")
        row.append(f"{middle(runs, 'held') / (1 << 20):.0f}")
        rows.append([*row, errors(runs)])
    title = STATES[state].format(idle=given.idle, new=given.new)
    return {"title": title[0].upper() + title[1:], "columns": COLUMNS, "rows": rows}

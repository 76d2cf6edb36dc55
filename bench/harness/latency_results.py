"""What `bench/latency` found, for RESULTS.md."""

from .figures import spread
from .tables import errors, middle, versions_table, with_spread

TITLES = {
    "h1": "HTTP/1.1, 64 connections, {rate:,} requests a second",
    "h2": "HTTP/2 without TLS, 16 connections of up to 8 streams, {rate:,} requests a second",
}
COLUMNS = ["peer", "p50 ms", "p99 ms (least – greatest)", "p99.9 ms", "CPU µs a request"]
COLUMNS += ["the client late, p99 ms", "errors"]


def build(machine, given, versions, samples):
    """The result. `samples` are lists of runs by kind and peer."""
    p99 = {name: middle(runs, "p99_us") / 1000 for name, runs in samples["h1"].items()}
    return {
        "title": "Latency at the same rate",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s, one proxy worker on one core,"
        " 130-byte body; the rate is half of what the slowest does at most. Latency counts from"
        " when a request was due.",
        "measured": {},
        "tables": [versions_table(versions), *(_table(kind, samples[kind]) for kind in TITLES)],
        "bars": {"latency": {"HTTP/1.1": p99}},
    }


def _table(kind, samples):
    rows = []
    for name, runs in samples.items():
        p99 = with_spread(spread(run["p99_us"] / 1000 for run in runs), ".2f")
        row = [name, f"{middle(runs, 'p50_us') / 1000:.2f}", p99]
        row.append(f"{middle(runs, 'p999_us') / 1000:.2f}")
        row += [f"{middle(runs, 'cpu_us'):.1f}", f"{middle(runs, 'late_p99_us') / 1000:.2f}"]
        rows.append([*row, errors(runs)])
    title = TITLES[kind].format(rate=next(iter(samples.values()))[0]["rate"])
    return {"title": title, "columns": COLUMNS, "rows": rows}

"""What `bench/bodies` found, for RESULTS.md."""

from .figures import spread
from .tables import cpu_ratio, errors, middle, versions_table, with_spread

WAYS = {"down": "to the client", "up": "from the client"}
COLUMNS = ["peer", "CPU ms a GiB (least – greatest)", "to Envoy", "MiB a second", "worker busy"]
COLUMNS.append("errors")


def build(machine, given, versions, samples):
    """The result. `samples` are lists of runs by way and size in bytes, then by peer."""
    ratios = {
        f"{way}-{size_text(size).replace(' ', '')}": _ratio(runs, "nuncio")
        for (way, size), runs in samples.items()
    }
    return {
        "title": "Bodies",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s, HTTP/1.1 keep-alive, one proxy worker"
        " on one core; 64, 32 and 8 connections.",
        "measured": ratios,
        "tables": [versions_table(versions), *(_table(*cell, samples[cell]) for cell in samples)],
    }


def size_text(size):
    """As the targets name it."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _ratio(runs, name):
    return cpu_ratio(runs, name, "envoy", "cpu_ms")


def _table(way, size, samples):
    rows = []
    for name, runs in samples.items():
        row = [name, with_spread(spread(run["cpu_ms"] for run in runs), ".0f")]
        row.append(with_spread(_ratio(samples, name), ".2f"))
        row.append(f"{middle(runs, 'rate') * size / (1 << 20):,.0f}")
        rows.append([*row, f"{middle(runs, 'busy'):.0%}", errors(runs)])
    return {"title": f"{size_text(size)} {WAYS[way]}", "columns": COLUMNS, "rows": rows}

"""What `bench/change` found, for RESULTS.md."""

ROWS = [
    ("rename of the file to the first new answer, p50", "outside_p50_ms", "ms"),
    ("the same, p99", "outside_p99_ms", "ms"),
    ("the same, greatest", "outside_max_ms", "ms"),
    ("inside, event to swap: mean", "inside_mean_ms", "ms"),
    ("inside, event to swap: p99 is at most (histogram)", "inside_p99_ms", "ms"),
    ("CPU a change, whole process", "cpu_ms", "ms"),
    ("wrong or failed answers", "errors", ""),
]


def build(machine, routes, start_seconds, parts, memory):
    """The result. `parts` are figures `alone` and `loaded`, `memory` is before and after."""
    alone, loaded = parts
    rows = [
        [title, *(_shown(part[key], unit) for part in (alone, loaded))] for title, key, unit in ROWS
    ]
    return {
        "title": "A change of one route, from a file",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"`nuncio serve` on {routes:,} files, a Mapping each; {alone['changes']} changes of"
        " one file's rewrite, nothing else going on, then"
        f" {loaded['changes']} under load on another route."
        f" Memory: {memory['before']['now'] / 1e6:.0f} MB before the changes,"
        f" {memory['after']['now'] / 1e6:.0f} MB after them, peak"
        f" {memory['after']['peak'] / 1e6:.0f} MB. Start to the first answer:"
        f" {start_seconds:.2f} s.",
        "measured": {},
        "tables": [
            {
                "title": "Time and CPU of a change",
                "columns": ["", "alone", "under load"],
                "rows": rows,
            }
        ],
    }


def _shown(value, unit):
    if value is None:
        return "–"
    return f"{value}" if isinstance(value, int) else f"{value:.2f} {unit}"

"""What `bench/live` found, for LIVE.md."""

from .figures import quantile, spread

MIB = 1024 * 1024
# What the targets are set on.
MAPPINGS = 10_000


def build(machine, given, starts, rows):
    """The result. `rows` are (size, kind of changes, seconds and counts), `starts` (size, Mappings
    made a second, seconds and counts)."""
    return {
        "title": "From a change in the API server to the first new answer",
        "file": "LIVE.md",
        "machine": machine,
        "about": "Real etcd and API server, one replica, everything on one machine."
        f" {given.changes} changes a row; the clock starts before the PATCH is sent. The bare watch"
        " is a client that follows the same collection and reads one field of each event: what"
        " stands in its columns is the API server's own time.",
        "measured": _measured(starts, rows),
        "tables": [_changes(rows), _starts(starts)],
    }


def _measured(starts, rows):
    measured = {}
    changes = [row for size, _, row in rows if size == MAPPINGS]
    if changes:
        measured["live-p99"] = spread(_beyond(row, 0.99) for row in changes)
    measured["live-wrong"] = spread([sum(row["wrong"] for _, _, row in [*rows, *starts])])
    for size, _, row in starts:
        if size == MAPPINGS:
            measured["start-ready"] = spread([row["listed"]])
            measured["status-done"] = spread([row["statuses"]])
            measured["status-p99"] = spread([row["during"] / row["after"]])
            if row["peak"] is not None:
                measured["start-peak"] = spread([row["peak"] / MIB])
    return measured


def _beyond(row, q):
    """Milliseconds that the gateway needed more than the bare watch."""
    return (quantile(row["served"], q) - quantile(row["watched"], q)) * 1e3


def _changes(rows):
    def cells(size, kind, row):
        times = [quantile(row[who], q) * 1e3 for who in ("served", "watched") for q in (0.5, 0.99)]
        times += [_beyond(row, q) for q in (0.5, 0.99)]
        times = [f"{time:.1f}" for time in times]
        return [f"{size:,}", kind, *times, f"{row['others']:.0f}", row["wrong"]]

    return {
        "title": "Changes",
        "columns": [
            "Mappings", "changes", "p50, ms", "p99, ms", "bare watch p50", "bare watch p99",
            "beyond it p50", "beyond it p99", "other changes a second", "wrong answers",
        ],
        "rows": [cells(*row) for row in rows],
    }


def _starts(starts):
    def cells(size, made, row):
        peak = "?" if row["peak"] is None else f"{row['peak'] / MIB:.0f}"
        return [
            f"{size:,}", f"{made:.0f}", f"{row['start']:.2f}", f"{row['listed']:.2f}", peak,
            f"{row['statuses']:.0f}", f"{row['writes']:.0f}", f"{row['during'] * 1e3:.1f}",
            f"{row['after'] * 1e3:.1f}", row["wrong"], f"{row['inside'] * 1e3:.2f}",
        ]

    return {
        "title": "Start, and the statuses of Mappings that have none",
        "text": "p99 is that of a client that holds 500 requests a second, corrected for what a"
        " stall holds up. Inside: the mean from the arrival of an event to the swap, over all of"
        " the above.",
        "columns": [
            "Mappings", "creating them, a second", "start, s", "of it after the lists",
            "peak memory, MiB", "all statuses written, s", "API writes a second",
            "p99 meanwhile, ms", "p99 after, ms", "wrong answers", "inside, ms",
        ],
        "rows": [cells(*start) for start in starts],
    }

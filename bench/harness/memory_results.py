"""What `bench/memory` found, for RESULTS.md."""

from .figures import spread

KIB, MIB = 1024, 1024 * 1024
# What the targets are set on.
ROUTES = 10_000
TARGETS = {"idle-plain": "HTTP/1.1", "idle-tls": "HTTP/1.1 in TLS"}


def build(machine, given, versions, found):
    """The result. `found` holds, in bytes, `tables` by peer and number of routes, `connections` by
    peer and kind, and Nuncio's `churn`."""
    return {
        "title": "Memory",
        "file": "RESULTS.md",
        "machine": machine,
        "about": "One worker each; resident memory of all processes, pages that they share counted"
        " once (PSS), when it falls no more.",
        "measured": _measured(found),
        "tables": [
            _routes(given, versions, found["tables"]),
            _connections(given, found["connections"]),
            *_churn(found),
        ],
    }


def _measured(found):
    measured = {}
    tables = found["tables"].get("nuncio", {})
    if ROUTES in tables:
        measured["memory-10000"] = spread([tables[ROUTES]["now"] / MIB])
        measured["memory-route"] = spread([_of_a_route(tables, ROUTES) / KIB])
    for key, kind in TARGETS.items():
        if "nuncio" in found["connections"]:
            measured[key] = spread([found["connections"]["nuncio"][kind] / KIB])
    if "churn" in found:
        churn = found["churn"]
        measured["churn"] = spread([churn["after"]["now"] / churn["before"]["now"]])
    return measured


def _routes(given, versions, tables):
    sizes = [1, *given.sizes]
    heads = ["1 route: MiB", *(f"{size:,} routes" for size in sizes[1:])]
    rows = []
    for name, held in tables.items():
        cells = [f"{held[size]['now'] / MIB:.1f}" for size in sizes]
        each = f"{_of_a_route(held, sizes[-1]) / KIB:.1f}"
        peak = f"{held[sizes[-1]]['peak'] / MIB:.1f}"
        rows.append([f"{name} {versions[name]}", *cells, each, peak])
    return {
        "title": "Routes",
        "text": "Each figure is of a process of its own that has answered one request. A route's"
        " share is the difference of the largest table to one route's.",
        "columns": ["peer", *heads, "KiB a route", f"peak MiB with {sizes[-1]:,}"],
        "rows": rows,
    }


def _connections(given, connections):
    kinds = list(next(iter(connections.values())))
    rows = [
        [name, *(f"{held[kind] / KIB:.1f}" for kind in kinds)] for name, held in connections.items()
    ]
    return {
        "title": "Idle connections",
        "text": f"KiB that each of {given.connections:,} adds after one answer.",
        "columns": ["peer", *kinds],
        "rows": rows,
    }


def _churn(found):
    if "churn" not in found:
        return []
    churn = found["churn"]
    row = [f"{churn[key]['now'] / MIB:.1f}" for key in ("fresh", "before", "after")]
    return [
        {
            "title": "Changes",
            "text": f"Nuncio with 1,000 routes that stay, while others come, change and go, each"
            f" with a name and a prefix of its own, and each asked for: {churn['changes']:,}"
            " changes after the first.",
            "columns": ["MiB fresh", "after the first changes", "after all", "peak"],
            "rows": [[*row, f"{churn['after']['peak'] / MIB:.1f}"]],
        }
    ]


def _of_a_route(held, size):
    return (held[size]["now"] - held[1]["now"]) / (size - 1)

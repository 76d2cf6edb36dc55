"""What `bench/tls` found, for TLS.md."""

from .tables import bars, cpu_ratio, cpu_table, versions_table

# By cell: the table's title, the target that it decides, the group of the picture.
CELLS = {
    "h1": ("HTTP/1.1 over TLS 1.3, 64 connections: a request", None, "HTTP/1.1 over TLS 1.3"),
    "h2": (
        "HTTP/2 over TLS 1.3, 16 connections of 8 streams: a request",
        "h2-tls",
        "HTTP/2 over TLS 1.3",
    ),
    "h2c": ("HTTP/2 without TLS, 16 connections of 8 streams: a request", "h2-plain", None),
    "unary": (
        "gRPC without TLS, 16 connections of 8 calls: a call with one message each way",
        "grpc-unary",
        "gRPC, unary",
    ),
    "stream": (
        "gRPC without TLS, 16 connections of 8 calls: a call that streams 100 messages to the"
        " client",
        "grpc-stream",
        None,
    ),
    "full": (
        "full TLS 1.3 handshakes (P-256), one after the other, with a request each: a connection",
        "tls-full",
        "a full TLS 1.3 handshake with a request",
    ),
    "resumed": (
        "resumed TLS 1.3 handshakes, the same: a connection",
        "tls-resumed",
        None,
    ),
}


def build(machine, given, versions, samples, idle):
    """The result. `samples` are lists of runs by peer and cell, `idle` bytes by peer."""
    by_cell = {cell: {name: samples[name][cell] for name in samples} for cell in CELLS}
    ratios = {
        target: cpu_ratio(by_cell[cell], "nuncio", "envoy")
        for cell, (_, target, _) in CELLS.items()
        if target
    }
    memory = [[name, f"{held / 1024:.1f}"] for name, held in idle.items()]
    idle_table = {
        "title": "Memory of an idle TLS connection",
        "columns": ["peer", "KiB"],
        "rows": memory,
    }
    groups = {group: by_cell[cell] for cell, (_, _, group) in CELLS.items() if group}
    return {
        "title": "TLS, HTTP/2 and gRPC",
        "file": "TLS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s, one proxy worker on one core,"
        " 130-byte body.",
        "measured": ratios,
        "tables": [
            versions_table(versions),
            *(cpu_table(title, by_cell[cell]) for cell, (title, _, _) in CELLS.items()),
            idle_table,
        ],
        "bars": {"cpu": bars(groups)},
    }

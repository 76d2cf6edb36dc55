"""Writes bench/TLS.md."""

from . import tools
from .figures import paired_ratio, spread

CELLS = {
    "h1": "HTTP/1.1 over TLS 1.3, 64 connections: a request",
    "h2": "HTTP/2 over TLS 1.3, 16 connections of 8 streams: a request",
    "h2c": "HTTP/2 without TLS, 16 connections of 8 streams: a request",
    "unary": "gRPC without TLS, 16 connections of 8 calls: a call with one message each way",
    "stream": "gRPC without TLS, 16 connections of 8 calls: a call that streams 100 messages to the client",
    "full": "full TLS 1.3 handshakes (P-256), one after the other, with a request each: a connection",
    "resumed": "resumed TLS 1.3 handshakes, the same: a connection",
}
TARGET = 0.7


def store(machine, given, versions, samples, idle):
    """Writes the file and returns its text."""
    lines = [
        "# TLS and HTTP/2",
        "",
        "Written by `bench/tls`; don't edit. What the figures mean, and how far to trust them:"
        " [README.md](README.md).",
        "",
        f"{machine['date']} · {machine['cpu']}, {machine['cores']} cores, Linux"
        f" {machine['kernel']}, load average {machine['load_at_start']} before the start ·"
        f" Nuncio: {machine['nuncio']} · {given.rounds} rounds of {given.seconds} s, one proxy"
        f" worker on one core, 130-byte body. Target: CPU at most {TARGET} of Envoy's.",
    ]
    for cell, title in CELLS.items():
        lines += ["", f"## {title}", "", *_table(versions, samples, cell)]
    lines += ["", "## Memory of an idle TLS connection", ""]
    lines += ["| peer | KiB |", "|---|---|"]
    lines += [f"| {name} | {held / 1024:.1f} |" for name, held in idle.items()]
    text = "\n".join(lines) + "\n"
    (tools.BENCH / "TLS.md").write_text(text, encoding="utf-8")
    return text


def _table(versions, samples, cell):
    lines = [
        "| peer | CPU µs (least – greatest) | to Envoy | a second |",
        "|---|---|---|---|",
    ]
    cpu = {name: [sample["cpu_us"] for sample in samples[name][cell]] for name in samples}
    for name, version in versions.items():
        used, ratio = spread(cpu[name]), paired_ratio(cpu[name], cpu["envoy"])
        rate = spread(sample["rate"] for sample in samples[name][cell])["median"]
        errors = sum(sample.get("errors", 0) for sample in samples[name][cell])
        void = f" (void: {errors} errors)" if errors else ""
        lines.append(
            f"| {name} {version} | {used['median']:.1f} ({used['min']:.1f} – {used['max']:.1f})"
            f" | {ratio['median']:.2f} ({ratio['min']:.2f} – {ratio['max']:.2f})"
            f" | {rate:,.0f}{void} |"
        )
    return lines

"""Draws what the written results say: a group of bars for each table of CPU time."""

import re
from html import escape

from . import tools

# Of those that are there, in this order: what a table's title begins with, and what it is called.
GROUPS = {
    "1 route": "HTTP/1.1, one route",
    "10,000 routes, the last one": "HTTP/1.1, the last of 10,000 routes",
    "HTTP/1.1 over TLS": "HTTP/1.1 over TLS 1.3",
    "HTTP/2 over TLS": "HTTP/2 over TLS 1.3",
    "gRPC without TLS, 16 connections of 8 calls: a call with one": "gRPC, unary",
}
OURS, OTHERS = "#2563eb", "#94a3b8"
# Pixels.
WIDTH, LABELS, VALUES, BAR, GAP, HEAD = 760, 110, 70, 16, 4, 30


def store():
    """Writes bench/results.svg."""
    texts = [tools.BENCH / name for name in ("RESULTS.md", "TLS.md")]
    groups = {}
    for path in texts:
        if path.exists():
            groups |= read_groups(path.read_text(encoding="utf-8"))
    chosen = choose(groups)
    if not chosen:
        raise SystemExit("picture: no table with CPU times; run bench/run or bench/tls first")
    (tools.BENCH / "results.svg").write_text(draw(chosen), encoding="utf-8")


def read_groups(text):
    """The tables whose second column is CPU time: peers and microseconds by title."""
    groups = {}
    for section in re.split(r"^#{2,3} ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line[:2] == "| "]
        if rows and rows[0][1].startswith("CPU µs"):
            groups[title] = {row[0].split(" ")[0]: float(row[1].split(" ")[0]) for row in rows[1:]}
    return groups


def choose(groups):
    """Those that the picture has, by what it calls them."""
    return {
        name: peers
        for start, name in GROUPS.items()
        for title, peers in groups.items()
        if title.startswith(start)
    }


def draw(groups):
    """The picture: a bar's length is its share of the longest of its group."""
    parts, y = [], 34
    for name, peers in groups.items():
        parts.append(f'<text x="0" y="{y + 14}" class="name">{escape(name)}</text>')
        y += HEAD - 6
        longest = max(peers.values())
        for peer, value in peers.items():
            length = (WIDTH - LABELS - VALUES) * value / longest
            colour = OURS if peer == "nuncio" else OTHERS
            middle = y + BAR - 4
            parts.append(f'<text x="{LABELS - 8}" y="{middle}" class="peer">{escape(peer)}</text>')
            parts.append(
                f'<rect x="{LABELS}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{colour}"/>'
            )
            parts.append(f'<text x="{LABELS + length + 6:.0f}" y="{middle}">{value:.1f} µs</text>')
            y += BAR + GAP
        y += GAP * 3
    style = "text{font:12px sans-serif;fill:#334155}.name{font-weight:bold}.peer{text-anchor:end}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img"'
        f' aria-label="CPU time a request, by proxy">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n<style>{style}</style>\n'
        f'<text x="0" y="16">CPU time a request on one core; less is better</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )

"""Draws what the results say as bars: SVG with a light and a dark dress, as the reader's screen is."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Picture:
    """A file of bars: what its title says, and the unit of its values."""

    title: str
    unit: str
    form: str


# By the file's name without its ending.
PICTURES = {
    "cpu": Picture("CPU time a request on one core; less is better", "µs", ".1f"),
    "memory": Picture("Memory; less is better", "MiB", ",.0f"),
    "latency": Picture("Latency at the same rate, p99; less is better", "ms", ".2f"),
}
# Pixels.
WIDTH, LABELS, VALUES, BAR, GAP, HEAD, MARGIN = 760, 110, 80, 16, 4, 24, 12
STYLE = (
    "text{font:12px sans-serif;fill:#334155}.name{font-weight:bold}.peer{text-anchor:end}"
    ".paper{fill:#ffffff}.ours{fill:#2563eb}.other{fill:#94a3b8}"
    "@media(prefers-color-scheme:dark){text{fill:#cbd5e1}.paper{fill:#0d1117}"
    ".ours{fill:#60a5fa}.other{fill:#64748b}}"
)


def draw_all(results):
    """The pictures that the stored results have bars for, by name."""
    drawn = {}
    for name, about in PICTURES.items():
        groups = {}
        for result in results.values():
            groups |= result.get("bars", {}).get(name, {})
        if groups:
            drawn[name] = draw(about, groups)
    return drawn


def draw(about, groups):
    """One picture: a bar's length is its share of the longest of its group."""
    parts, y = [], MARGIN + 22
    for name, peers in groups.items():
        parts.append(f'<text x="{MARGIN}" y="{y + 14}" class="name">{escape(name)}</text>')
        y += HEAD
        longest = max(peers.values())
        for peer, value in peers.items():
            parts += _bar(y, peer, value / longest, f"{value:{about.form}} {about.unit}")
            y += BAR + GAP
        y += GAP * 3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img"'
        f' aria-label="{escape(about.title)}">\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" rx="8" class="paper"/>\n'
        f'<text x="{MARGIN}" y="{MARGIN + 8}">{escape(about.title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(y, peer, share, value):
    length = max(1, (WIDTH - LABELS - VALUES - MARGIN) * share)
    kind, middle = "ours" if peer == "nuncio" else "other", y + BAR - 4
    return [
        f'<text x="{LABELS - 8}" y="{middle}" class="peer">{escape(peer)}</text>',
        f'<rect x="{LABELS}" y="{y}" width="{length:.0f}" height="{BAR}" class="{kind}"/>',
        f'<text x="{LABELS + length + 6:.0f}" y="{middle}">{escape(value)}</text>',
    ]

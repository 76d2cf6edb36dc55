"""Fills the peers' templates: `@{name}` becomes its value, nothing else is special."""

import re


def fill(text, values):
    """`text` with each `@{name}` replaced; an unknown name is a KeyError."""
    return re.sub(r"@\{(\w+)\}", lambda match: str(values[match.group(1)]), text)


def fill_each(text, items, values):
    """`text` once for each item, joined, without the last line's end."""
    return "".join(fill(text, {**values, **item.values()}) for item in items).rstrip("\n")

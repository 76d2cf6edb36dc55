"""From the figures of single runs to medians, spreads and ratios."""

import math
from statistics import median


def spread(values):
    """Median, least and greatest."""
    values = list(values)
    return {"median": median(values), "min": min(values), "max": max(values)}


def paired_ratio(numerators, denominators):
    """Spread of the ratios round by round: what slows the machine for one round slows both."""
    return spread(a / b for a, b in zip(numerators, denominators, strict=True))


def quantile(sorted_values, q):
    """The value below which a share `q` of `sorted_values` lies (nearest rank)."""
    return sorted_values[max(0, math.ceil(q * len(sorted_values)) - 1)]

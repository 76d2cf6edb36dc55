"""Reads one Prometheus histogram, and what it counted between two readings."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound (in the metric's unit), sum and count."""

    buckets: dict
    sum: float
    count: int

    def __sub__(self, earlier):
        buckets = {bound: n - earlier.buckets[bound] for bound, n in self.buckets.items()}
        return Histogram(buckets, self.sum - earlier.sum, self.count - earlier.count)

    def mean(self):
        """None where nothing was counted."""
        return self.sum / self.count if self.count else None

    def at_most(self, q):
        """The bound of the bucket that holds quantile `q`: the true value is no greater. None
        where nothing was counted or it lies past the last bound."""
        for bound, cumulative in sorted(self.buckets.items()):
            if self.count and cumulative >= q * self.count:
                return None if bound == float("inf") else bound
        return None


def parse_histogram(text, name):
    """The histogram `name` (without labels of its own) in a Prometheus exposition."""
    pattern = re.compile(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', re.MULTILINE)
    buckets = {float(bound): int(float(n)) for bound, n in pattern.findall(text)}
    total, count = (
        re.search(rf"^{name}_{part} (\S+)$", text, re.MULTILINE) for part in ("sum", "count")
    )
    if not buckets or not total or not count:
        raise ValueError(f"no histogram {name} in the metrics")
    return Histogram(buckets, float(total.group(1)), int(float(count.group(1))))

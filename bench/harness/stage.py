"""What stands while a program measures: an upstream, and peers that are paused but for the one
whose turn it is."""

import contextlib
import random

from . import tools
from .machine import plan_cores
from .peer import Peer, free_port
from .routes import build_routes, build_services


class Stage:
    """Starts peers with one route, and ends all that it started."""

    def __init__(self, proxy_cores=None):
        """`proxy_cores` in place of those that `plan_cores` gives a proxy."""
        planned, self.load_cores = plan_cores()
        self.proxy_cores = proxy_cores or planned
        self.services = build_services(1, free_port())
        self.routes = build_routes(1, self.services)
        self.path = self.routes[0].path
        self.running = {}
        self.versions = {}
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for running in reversed(self.started):
            running.tree.end()

    def upstream(self, name="upstream", more=None):
        """Starts an upstream, and waits until it listens."""
        more = {**self.services[0].values(), **(more or {})}
        running = Peer(name).start(self.services, self.routes, self.load_cores, more)
        self.started.append(running)
        return running

    def add(self, key, peer, more=None):
        """Starts a peer and pauses it; it is `running[key]`."""
        tools.say(f"starting {key}")
        peer = Peer(peer)
        running = peer.start(self.services, self.routes, self.proxy_cores, more)
        self.started.append(running)
        running.wait_open()
        running.tree.pause()
        self.running[key] = running
        self.versions[key] = peer.version

    @contextlib.contextmanager
    def turn(self, key):
        """The peer, awake."""
        running = self.running[key]
        running.tree.resume()
        running.tree.wait_calm()
        try:
            yield running
        finally:
            running.tree.pause()


def shuffled(items, number):
    """The order of round `number`: another in each, the same in each execution."""
    items = list(items)
    random.Random(number).shuffle(items)
    return items

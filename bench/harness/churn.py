"""Many changes, and what is left of them: Mappings come, change and go, each with a name, a prefix
and a service of its own, and each new one is asked for, so that all who remember routes have met
it."""

import http.client
import time

from . import tools
from .peer import Peer
from .routes import Route, build_routes
from .template import fill

ROUTES = 1000
# What comes and goes at a time; each file is three changes: it comes, it changes, it goes.
BATCH = 500
TIMEOUT_SECONDS = 30


class Churn:
    """Nuncio on `ROUTES` files that stay, and others that don't."""

    def __init__(self, services, changes):
        self.services = services
        self.batches = max(1, changes // (3 * BATCH))
        self.template = (tools.BENCH / "peers/nuncio/mapping.yaml").read_text(encoding="utf-8")

    def run(self):
        """Memory before and after, and how many changes there were."""
        routes = build_routes(ROUTES, self.services)
        self.nuncio = Peer("nuncio").start(self.services, routes, None)
        try:
            self.nuncio.wait_for("127.0.0.1", self.nuncio.port, routes[-1].path)
            fresh = self.nuncio.settle()
            # What a first change makes is no leak.
            self._batch(0)
            before = self.nuncio.settle()
            for number in range(1, self.batches + 1):
                self._batch(number)
            after = self.nuncio.settle()
        finally:
            self.nuncio.tree.end()
        changes = self.batches * BATCH * 3
        return {"changes": changes, "fresh": fresh, "before": before, "after": after}

    def _batch(self, number):
        routes = [self._route(number, index) for index in range(BATCH)]
        paths = [self.nuncio.directory / "routes" / f"{route.name}.yaml" for route in routes]
        for rewrite in ("/one/", "/two/"):
            for route, path in zip(routes, paths, strict=True):
                text = fill(self.template, route.values())
                path.write_text(text.replace('rewrite: ""', f'rewrite: "{rewrite}"'), encoding="utf-8")
            self._wait(routes, 200)
        for path in paths:
            path.unlink()
        self._wait(routes[-1:], 404)

    def _route(self, number, index):
        name = f"c{number:05}-{index:03}"
        service = self.services[index % len(self.services)]
        return Route(name, "prefix", "*", f"/{name}/", f"/{name}/", service)

    def _wait(self, routes, status):
        """Asks for each until it is answered so."""
        connection = http.client.HTTPConnection("127.0.0.1", self.nuncio.port, timeout=5)
        for route in routes:
            until = time.monotonic() + TIMEOUT_SECONDS
            while self._ask(connection, route.path) != status:
                if time.monotonic() > until:
                    raise RuntimeError(f"{route.path} isn't answered {status}")
                time.sleep(0.01)
        connection.close()

    @staticmethod
    def _ask(connection, path):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status

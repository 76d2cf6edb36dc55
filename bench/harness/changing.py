"""One file that changes while a proxy follows it, and a client that sees when the answer does."""

import http.client
import os
import time

from . import tools
from .template import fill

TIMEOUT_SECONDS = 10


class ChangingRoute:
    """The Mapping `/change/`, whose rewrite says its version; the upstream answers the path."""

    def __init__(self, directory, service):
        self.path = directory / "routes" / "changing.yaml"
        # Beside the watched directory: only the rename is an event there.
        self.staged = directory / "changing.yaml"
        self.template = tools.BENCH / "peers/nuncio/changing.yaml"
        self.values = service.values()
        self.version = 0

    def write_next(self):
        """Puts the next version in place by a rename; the monotonic time just before it."""
        self.version += 1
        text = fill(self.template.read_text(), {**self.values, "version": f"v{self.version}"})
        self.staged.write_text(text, encoding="utf-8")
        now = time.monotonic()
        os.rename(self.staged, self.path)
        return now

    def is_served(self, status, body, errors):
        """Whether this answer shows the present version; an answer that shows neither it nor the
        one before goes to `errors`."""
        versions = {f"/change/v{n}/x" for n in (self.version, self.version - 1)}
        if status != 200 or body not in versions:
            errors.append((self.version, status, body))
        return body == f"/change/v{self.version}/x"


class Client:
    """Asks for `/change/x` again and again on one connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def wait_for(self, route, since, errors):
        """Seconds from `since` to the first answer with the route's present version."""
        while time.monotonic() < since + TIMEOUT_SECONDS:
            if route.is_served(*self._ask(), errors):
                return time.monotonic() - since
        raise RuntimeError(f"version {route.version} isn't served {TIMEOUT_SECONDS} s after it")

    def _ask(self):
        """Status and body; (0, reason) where the connection fails, and the next try opens one."""
        try:
            self.connection.request("GET", "/change/x")
            answer = self.connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return 0, repr(error)

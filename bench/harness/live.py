"""Who follows one Mapping that changes: a bare watch of the API server, and a client of the gateway.

Each is a process of its own, so that neither waits for the other, and tells when it first saw each
version by the machine's monotonic clock, which all processes share. The Mapping is a redirect whose
target says its version: no upstream has a part in the figures.
"""

import http.client
import multiprocessing
import re
import socket
import time

from .cluster import ApiServer

ANSWER = re.compile(rb"^HTTP/1\.1 301 .*?\r\nlocation: https?://live[^/]*/v(\d+)/", re.DOTALL)
VERSION = re.compile(rb'"path_redirect":"/v(\d+)/"')
REQUEST = b"GET /live/ HTTP/1.1\r\nHost: live.example\r\n\r\n"


def mapping(version):
    """The Mapping `live` of a version."""
    return {
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Mapping",
        "metadata": {"name": "live"},
        "spec": {
            "hostname": "*", "prefix": "/live/", "service": "live", "host_redirect": True,
            "path_redirect": f"/v{version}/",
        },
    }


class Follower:
    """Runs `follow(report, *arguments)` in a process, which reports (name, value, time)."""

    def __init__(self, follow, *arguments):
        self.reports, reporting = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(
            target=follow, args=(reporting.send, *arguments), daemon=True
        )
        self.process.start()
        self.seen, self.wrong = {}, []

    def take(self, limit):
        """Takes reports in for so long at the most; whether there was one."""
        if not self.reports.poll(limit):
            return False
        name, value, moment = self.reports.recv()
        if name == "wrong":
            self.wrong.append(value)
        else:
            self.seen.setdefault(value, moment)
        return True

    def wait_for(self, version, limit=60):
        """When it saw that version or a newer one, by the monotonic clock."""
        deadline = time.monotonic() + limit
        while not self.seen or max(self.seen) < version:
            if not self.take(max(0, deadline - time.monotonic())):
                raise RuntimeError(f"version {version} wasn't seen within {limit} s")
        return min(moment for seen, moment in self.seen.items() if seen >= version)

    def end(self):
        """Ends the process; what it had to say is taken in."""
        while self.take(0):
            pass
        self.process.terminate()
        self.process.join()


def watch_bare(report, path):
    """Follows the collection by one watch and reads nothing but the version out of its events."""
    api = ApiServer()  # a connection can't be shared with the process that started this one
    version = api.ask("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
    connection = http.client.HTTPSConnection(api.server.hostname, api.server.port, context=api.tls)
    headers = {"Authorization": f"Bearer {api.token}"}
    connection.request("GET", f"{path}?watch=1&resourceVersion={version}", headers=headers)
    events = connection.getresponse()
    report(("seen", 0, time.monotonic()))
    while line := events.readline():
        moment = time.monotonic()
        if found := VERSION.search(line):
            report(("seen", int(found.group(1)), moment))


def ask_always(report, address):
    """Asks for the route again and again on one connection. An answer is wrong that isn't the
    redirect, or goes back to a version before one that was answered."""
    newest, connection = -1, None
    while True:
        try:
            connection = connection or socket.create_connection(address, timeout=10)
            connection.sendall(REQUEST)
            answer = read_head(connection)
        except OSError as error:
            report(("wrong", repr(error), time.monotonic()))
            connection = None
            time.sleep(0.01)
            continue
        moment, found = time.monotonic(), ANSWER.search(answer)
        if not found or int(found.group(1)) < newest:
            report(("wrong", answer[:200].decode("latin-1"), moment))
        elif int(found.group(1)) > newest:
            newest = int(found.group(1))
            report(("seen", newest, moment))


def ask_at_rate(report, address, rate):
    """Asks at a fixed rate, whatever the answers take, and reports how long after its moment each
    answer came (so that a stall counts for all requests that it held up)."""
    connection = socket.create_connection(address, timeout=10)
    due = time.monotonic()
    number = 0
    while True:
        time.sleep(max(0, due - time.monotonic()))
        connection.sendall(REQUEST)
        if not ANSWER.search(read_head(connection)):
            report(("wrong", number, time.monotonic()))
        report(("seen", number, time.monotonic() - due))
        due, number = due + 1 / rate, number + 1


def read_head(connection):
    """The head of an answer that has no body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(4096)
        if not part:
            raise ConnectionError("the connection was closed")
        answer += part
    return answer

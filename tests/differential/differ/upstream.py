"""Upstreams that tell what reached them. A request may ask for an answer of its own:

    x-answer-status: 503,200     the first time 503, then 200 (by the request's x-try);
                                 `reset` closes the connection without an answer
    x-answer-header: name=value
    x-answer-delay-ms: 500
    x-answer-size: 5000          so many bytes more, compressible ones
    x-hold: key                  not before the key is let go

An upgrade gets its 101, one line of what was seen, and its next line back.
"""

import contextlib
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .http2 import Http2Upstream

NAMES = ["a", "b", "c"]
HOLD_SECONDS = 20


class Upstreams:
    """One server a name; `g` speaks HTTP/2. What each key (`x-try`) met is kept."""

    def __init__(self):
        self.attempts = {}
        self.copies = {}
        self.gates = {}
        self.changed = threading.Condition()
        self.servers = {name: self._start(name) for name in NAMES}
        self.servers["g"] = Http2Upstream(self)
        self.ports = {name: server.server_address[1] for name, server in self.servers.items()}

    def count(self, key):
        """How often a key has been asked for before."""
        with self.changed:
            before = self.attempts.get(key, 0)
            self.attempts[key] = before + 1
            self.changed.notify_all()
            return before

    def wait_for(self, condition):
        """Waits until `condition` holds; whether it does."""
        with self.changed:
            return self.changed.wait_for(condition, HOLD_SECONDS)

    def copy(self, key, told):
        """Keeps what the shadow saw."""
        with self.changed:
            self.copies[key] = told
            self.changed.notify_all()

    def gate(self, key):
        """What a held request waits for."""
        with self.changed:
            return self.gates.setdefault(key, threading.Event())

    def end(self):
        """Ends all."""
        for server in self.servers.values():
            server.shutdown()

    def _start(self, name):
        handler = type("Handler", (Echo,), {"name": name, "upstreams": self})
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class Server(ThreadingHTTPServer):
    """Who resets a connection is part of some cases, so errors are nobody's concern."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Nothing."""


class Echo(BaseHTTPRequestHandler):
    """Answers every request with what it was."""

    protocol_version = "HTTP/1.1"
    server_version = "upstream"
    sys_version = ""
    # Head and body in one write, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def _answer(self):
        key = self.headers.get("x-try", "")
        # The copy of a request is no try of it.
        attempt = self.upstreams.count(f"copy-{key}" if self.name == "c" else key)
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length else self._read_chunks()
        told = {
            "backend": self.name,
            "line": self.requestline,
            "headers": [[key.lower(), value] for key, value in self.headers.items()],
            "body": body.decode("latin-1"),
            "attempts": attempt + 1,
        }
        if self.name == "c":
            self.upstreams.copy(key, told)
        if held := self.headers.get("x-hold"):
            self.upstreams.gate(held).wait(HOLD_SECONDS)
        time.sleep(int(self.headers.get("x-answer-delay-ms", 0)) / 1000)
        statuses = self.headers.get("x-answer-status", "200").split(",")
        status = statuses[min(attempt, len(statuses) - 1)]
        if status == "reset":
            self._reset()
        elif "upgrade" in self.headers and status == "200":
            self._upgrade(told)
        else:
            self._tell(int(status), told)

    def _tell(self, status, told):
        told["more"] = "m" * int(self.headers.get("x-answer-size", 0))
        answer = b"" if self.command == "HEAD" else json.dumps(told).encode()
        self.send_response(status)
        self._send_asked()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        # Who asked may have given up, which some cases are about.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(answer)
            self.wfile.flush()

    def _send_asked(self):
        for header in self.headers.get_all("x-answer-header", []):
            key, _, value = header.partition("=")
            self.send_header(key, value)

    def _upgrade(self, told):
        self.send_response(101)
        self._send_asked()
        self.send_header("connection", "upgrade")
        self.send_header("upgrade", self.headers["upgrade"])
        self.end_headers()
        self.wfile.write(json.dumps(told).encode() + b"\n")
        self.wfile.flush()
        self.wfile.write(self.rfile.readline())
        self.close_connection = True

    def _reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # The descriptor is closed with the files that share it.
        self.connection.shutdown(socket.SHUT_RD)

    def _read_chunks(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer

    def log_message(self, *arguments):
        """Nothing: the comparison says what was wrong."""

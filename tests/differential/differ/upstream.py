"""Upstreams that tell what reached them. A request may ask for an answer of its own:

    x-answer-status: 503,200     the first time 503, then 200 (by the request's x-try)
    x-answer-header: name=value
    x-answer-delay-ms: 500
"""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAMES = ["a", "b"]


class Upstreams:
    """One server a name."""

    def __init__(self):
        self.attempts = {}
        self.lock = threading.Lock()
        self.servers = {name: self._start(name) for name in NAMES}
        self.ports = {name: server.server_address[1] for name, server in self.servers.items()}

    def count(self, key):
        """How often a key has been asked for before."""
        with self.lock:
            before = self.attempts.get(key, 0)
            self.attempts[key] = before + 1
            return before

    def end(self):
        for server in self.servers.values():
            server.shutdown()

    def _start(self, name):
        handler = type("Handler", (Echo,), {"name": name, "upstreams": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        # Who resets a connection is part of some cases.
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class Echo(BaseHTTPRequestHandler):
    """Answers every request with what it was."""

    protocol_version = "HTTP/1.1"
    server_version = "upstream"
    sys_version = ""

    def _answer(self):
        attempt = self.upstreams.count(self.headers.get("x-try", ""))
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length else self._read_chunks()
        time.sleep(int(self.headers.get("x-answer-delay-ms", 0)) / 1000)
        statuses = self.headers.get("x-answer-status", "200").split(",")
        told = {
            "backend": self.name,
            "line": self.requestline,
            "headers": [[key.lower(), value] for key, value in self.headers.items()],
            "body": body.decode("latin-1"),
            "attempts": attempt + 1,
        }
        answer = b"" if self.command == "HEAD" else json.dumps(told).encode()
        self.send_response(int(statuses[min(attempt, len(statuses) - 1)]))
        for header in self.headers.get_all("x-answer-header", []):
            key, _, value = header.partition("=")
            self.send_header(key, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        # Who asked may have given up, which some cases are about.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(answer)

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

"""HTTP/2 on both sides: a client, and an upstream that tells what reached it.

The upstream answers gRPC with a message of what it saw, and other requests with that alone. Of
the headers that `upstream` names it knows `x-answer-status`, `x-answer-delay-ms` and
`x-answer-header`; and two more:

    x-answer-grpc: 5,not here    status and message, in the trailers
    x-answer-grpc-alone: 5       a status in the headers, without a message or trailers
"""

import contextlib
import json
import socket
import struct
import threading
import time
from socketserver import BaseRequestHandler, ThreadingTCPServer

from . import tools  # noqa: F401 - finds h2
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from .shape import Answer

# Whatever is asked here fits.
WINDOW = 1 << 20


def exchange(stream, request, headers):
    """A request on a connection that is open, and its answer."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
    connection.initiate_connection()
    connection.increment_flow_control_window(WINDOW)
    scheme = "http" if request.tls is None else "https"
    head = [(":method", request.method), (":scheme", scheme), (":authority", request.host)]
    head += [(":path", request.path), *headers]
    body = request.body.encode("latin-1")
    connection.send_headers(1, head, end_stream=not body)
    if body:
        connection.send_data(1, body, end_stream=True)
    stream.sendall(connection.data_to_send())
    answer = Answer()
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while not answer.ended and (part := stream.recv(65536)):
            for event in connection.receive_data(part):
                take(event, answer)
            stream.sendall(connection.data_to_send())
    return answer


def take(event, answer):
    """Adds what an event says to an answer."""
    if isinstance(event, ResponseReceived):
        answer.headers = [pair for pair in event.headers if pair[0] != ":status"]
        answer.status = int(dict(event.headers)[":status"])
    elif isinstance(event, DataReceived):
        answer.body += event.data
    elif isinstance(event, TrailersReceived):
        answer.trailers = list(event.headers)
    elif isinstance(event, StreamReset):
        answer.reset = int(event.error_code)
    answer.ended = answer.ended or isinstance(event, StreamEnded | StreamReset)


class Http2Upstream(ThreadingTCPServer):
    """The upstream `g`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstreams):
        handler = type("Handler", (Peer,), {"upstreams": upstreams})
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Peer(BaseRequestHandler):
    """One connection of a gateway."""

    def handle(self):
        """Answers its streams, each in a thread of its own, until it ends."""
        self.lock = threading.Lock()
        self.streams = {}
        config = H2Configuration(client_side=False, header_encoding="latin-1")
        self.http2 = H2Connection(config)
        self.http2.initiate_connection()
        self._send()
        with contextlib.suppress(OSError, H2Error):
            while part := self.request.recv(65536):
                with self.lock:
                    for event in self.http2.receive_data(part):
                        self._take(event)
                    self._send()

    def _send(self):
        self.request.sendall(self.http2.data_to_send())

    def _take(self, event):
        if isinstance(event, RequestReceived):
            self.streams[event.stream_id] = (event.headers, bytearray())
        elif isinstance(event, DataReceived):
            self.streams[event.stream_id][1].extend(event.data)
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            stream = (event.stream_id, *self.streams.pop(event.stream_id))
            threading.Thread(target=self._answer, args=stream, daemon=True).start()

    def _answer(self, number, headers, body):
        asked = dict(headers)
        attempt = self.upstreams.count(asked.get("x-try", ""))
        statuses = asked.get("x-answer-status", "200").split(",")
        status = statuses[min(attempt, len(statuses) - 1)]
        line = f"{asked[':method']} {asked[':path']} {asked.get(':authority')}"
        told = {
            "backend": "g",
            "line": line,
            "headers": [[name, value] for name, value in headers if not name.startswith(":")],
            "body": body.decode("latin-1"),
            "attempts": attempt + 1,
        }
        time.sleep(int(asked.get("x-answer-delay-ms", 0)) / 1000)
        is_grpc = asked.get("content-type", "").startswith("application/grpc") and status == "200"
        # Who asked may have given up, which some cases are about.
        with contextlib.suppress(OSError, H2Error), self.lock:
            if is_grpc:
                self._tell_grpc(number, asked, json.dumps(told).encode())
            else:
                self._tell(number, status, asked, json.dumps(told).encode())
            self._send()

    def _tell(self, number, status, asked, text):
        head = [(":status", status), ("content-type", "application/json"), *added(asked)]
        self.http2.send_headers(number, head)
        self.http2.send_data(number, text, end_stream=True)

    def _tell_grpc(self, number, asked, text):
        head = [(":status", "200"), ("content-type", "application/grpc"), *added(asked)]
        if alone := asked.get("x-answer-grpc-alone"):
            self.http2.send_headers(number, [*head, ("grpc-status", alone)], end_stream=True)
            return
        status, _, message = asked.get("x-answer-grpc", "0").partition(",")
        self.http2.send_headers(number, head)
        self.http2.send_data(number, struct.pack(">BI", 0, len(text)) + text)
        trailers = [("grpc-status", status)] + ([("grpc-message", message)] if message else [])
        self.http2.send_headers(number, trailers, end_stream=True)


def added(asked):
    """The header that a request asks for."""
    name, _, value = asked.get("x-answer-header", "").partition("=")
    return [(name, value)] if name else []

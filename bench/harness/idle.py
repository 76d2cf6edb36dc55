"""What an idle connection holds: many of one kind, each answered one request, then left alone."""

import contextlib
import socket
import struct

from .secure import NAME, Client

KINDS = ["HTTP/1.1", "HTTP/2", "HTTP/1.1 in TLS", "HTTP/2 in TLS"]
WARM_UP = 10

# The first route's, which a peer has with TLS and without.
PATH = "/r00000/"
REQUEST = f"GET {PATH} HTTP/1.1\r\nhost: {NAME}\r\n\r\n".encode()

# The preface, empty SETTINGS, and on stream 1 a GET (RFC 7541's static table: 2, 6 or 7) with path
# and authority in full.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def idle_bytes(running, port, kind, count):
    """Memory that each of `count` idle connections adds, in bytes."""
    with contextlib.ExitStack() as kept:
        # The first ones pay for what all share.
        for _ in range(WARM_UP):
            kept.enter_context(open_one(port, kind))
        before = running.settle()["now"]
        for _ in range(count):
            kept.enter_context(open_one(port, kind))
        return (running.settle()["now"] - before) / count


def open_one(port, kind):
    """A connection that has been answered. Of TLS only the socket is kept: the client's side of ten
    thousand sessions would need more memory than the peer's."""
    is_http2 = kind.startswith("HTTP/2")
    if kind.endswith("TLS"):
        stream = Client(port, "h2" if is_http2 else "http/1.1").connect()
    else:
        stream = socket.create_connection(("127.0.0.1", port), 10)
    if is_http2:
        ask_http2(stream, kind.endswith("TLS"))
    else:
        ask_http1(stream)
    return socket.socket(fileno=stream.detach())


def ask_http1(stream):
    """One request."""
    stream.sendall(REQUEST)
    answer = stream.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not an answer: {answer[:200]!r}")


def ask_http2(stream, is_secure):
    """One request: reads frames (RFC 9113 section 4.1) until one ends its stream."""
    scheme = b"\x87" if is_secure else b"\x86"
    block = b"\x82" + scheme + literal(b"\x44", PATH) + literal(b"\x41", NAME)
    request = frame(HEADERS, END_STREAM | END_HEADERS, 1, block)
    stream.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + request)
    while True:
        head = read_exactly(stream, 9)
        kind, flags, stream_id = struct.unpack(">BBI", head[3:])
        payload = read_exactly(stream, int.from_bytes(head[:3]))
        if kind in (RESET, GOAWAY):
            raise RuntimeError(f"the stream was ended: {payload}")
        if kind == SETTINGS and not flags & ACK:
            stream.sendall(frame(SETTINGS, ACK, 0, b""))
        if kind in (DATA, HEADERS) and flags & END_STREAM and stream_id == 1:
            return


def literal(name, value):
    """A header with an indexed name and a short value in full (RFC 7541 section 6.2.1)."""
    return name + bytes([len(value)]) + value.encode()


def frame(kind, flags, stream_id, payload):
    """One frame."""
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream_id) + payload


def read_exactly(stream, length):
    """So many bytes."""
    read = b""
    while len(read) < length:
        more = stream.recv(length - len(read))
        if not more:
            raise RuntimeError("the connection ended before the answer")
        read += more
    return read

"""Requests on connections of their own, and what came of them on both sides."""

import contextlib
import itertools
import re
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import replace

from . import http2
from .shape import Answer, describe, describe_upstream

TIMEOUT_SECONDS = 20
TRIES = itertools.count()


def wait_open(port, process, log_path):
    """Waits until somebody listens."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    said = log_path.read_text(encoding="utf-8", errors="replace")
    raise RuntimeError("\n".join(line[:1000] for line in said.splitlines()[-20:]))


class Client:
    """Asks one gateway for what a case asks."""

    def __init__(self, port, upstreams, certificates):
        self.port = port
        self.upstreams = upstreams
        self.certificates = certificates

    def ask(self, request):
        """What the client and the upstream saw of a request, by place."""
        if request.times > 1:
            return summarise(request.told, [self._ask(request) for _ in range(request.times)])
        if request.meanwhile:
            with self._held(request):
                return self._ask(request)
        return self._ask(request)

    def _ask(self, request):
        # Tries of one request are counted apart from those of another, and of the other gateway's.
        key = f"{self.port}-{next(TRIES)}"
        headers = [header.replace("@try", key).split(":", 1) for header in request.headers]
        headers = [(name, value.strip()) for name, value in headers]
        try:
            with self._connect(request) as stream:
                seen = self._exchange(stream, request, headers)
        except (ssl.SSLError, ConnectionError):
            # Whether the alert is read before the end of the connection is a race.
            return {"status": "none: no connection"}
        if request.copied:
            came = self.upstreams.wait_for(lambda: key in self.upstreams.copies)
            told = self.upstreams.copies[key] if came else {"backend": "none", "headers": []}
            seen |= describe_upstream(told, self.port, "copy")
        return seen

    def _exchange(self, stream, request, headers):
        secure = isinstance(stream, ssl.SSLSocket)
        chosen = stream.selected_alpn_protocol() if secure else None
        if chosen == "h2" or request.version == "2":
            pairs = [(name.lower(), value) for name, value in headers]
            answer = http2.exchange(stream, request, pairs)
        else:
            answer = exchange(stream, request, headers)
        seen = describe(answer, request, self.port)
        if secure:
            shown = self.certificates.name_of(stream.getpeercert(True))
            seen |= {"tls.version": stream.version(), "tls.alpn": chosen or "none"}
            seen["tls.certificate"] = shown
        return seen

    def _connect(self, request):
        stream = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)
        stream.settimeout(TIMEOUT_SECONDS)
        if request.tls is None:
            return stream
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn := request.tls.get("alpn"):
            context.set_alpn_protocols(alpn)
        if highest := request.tls.get("highest"):
            context.maximum_version = ssl.TLSVersion[f"TLSv{highest.replace('.', '_')}"]
        if name := request.tls.get("certificate"):
            files = self.certificates.files
            context.load_cert_chain(files[f"{name}_crt"], files[f"{name}_key"])
        return context.wrap_socket(stream, server_hostname=request.tls.get("name"))

    @contextlib.contextmanager
    def _held(self, request):
        """Another request that is on its way meanwhile: the upstream has it, and waits."""
        key = f"{self.port}-held-{next(TRIES)}"
        method, path = request.meanwhile["send"].split(" ", 1)
        headers = [*request.meanwhile.get("headers", []), f"x-try: {key}", f"x-hold: {key}"]
        held = replace(request, method=method, path=path, headers=headers, meanwhile=None)
        thread = threading.Thread(target=self._ask, args=(held,), daemon=True)
        thread.start()
        if not self.upstreams.wait_for(lambda: key in self.upstreams.attempts):
            raise RuntimeError(f"{held.name}: didn't reach its upstream")
        try:
            yield
        finally:
            self.upstreams.gate(key).set()
            thread.join()


def summarise(told, answers):
    """What several answers say together: how the backends share them, how many backends there
    were, or the statuses in their order."""
    backends = Counter(answer.get("upstream.backend", "none") for answer in answers)
    statuses = [str(answer["status"]) for answer in answers]
    if told == "shares":
        return {f"share.{name}": count / len(answers) for name, count in backends.items()}
    if told == "spread":
        return {"statuses": ",".join(sorted(set(statuses))), "backends": len(backends)}
    return {"statuses": ",".join(statuses)}


def exchange(stream, request, headers):
    """A request in HTTP/1, until the other side closes."""
    body = request.body.encode("latin-1")
    lines = [f"{request.method} {request.path} HTTP/{request.version}"]
    if request.host:
        lines.append(f"host: {request.host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"content-length: {len(body)}")
    if not any(name.lower() == "connection" for name, _ in headers):
        lines.append("connection: close")
    text = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    came, asked = b"", bool(request.then)
    try:
        stream.sendall(text)
        while part := stream.recv(65536):
            came += part
            if asked and came.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in came:
                stream.sendall(request.then.encode("latin-1"))
                asked = False
            elif is_whole(came):
                break
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    return read(came)


def is_whole(came):
    """Whether an answer has come as far as its length says, so that nobody needs to close."""
    head, _, body = came.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
    return bool(length) and b" 100 " not in head[:14] and len(body) >= int(length.group(1))


def read(came):
    """The answer in bytes that came, behind those of `100 Continue`."""
    if not came:
        return Answer()
    head, _, body = came.partition(b"\r\n\r\n")
    while head.split(b" ")[1] == b"100":
        head, _, body = body.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [tuple(line.split(":", 1)) for line in lines]
    chunked = any(
        name.lower() == "transfer-encoding" and value.strip() == "chunked"
        for name, value in headers
    )
    body, trailers = unchunk(body) if chunked else (body, [])
    return Answer(int(status.split(" ")[1]), headers, body, trailers)


def unchunk(body):
    """The body without its chunks' frames, and the trailers."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if length == 0:
            break
        whole += body[:length]
        body = body[length + 2 :]
    lines = body.decode("latin-1").split("\r\n")
    return whole, [tuple(line.split(":", 1)) for line in lines if ":" in line]

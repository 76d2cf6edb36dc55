"""One request on a connection of its own, and what came of it on both sides."""

import itertools
import json
import re
import socket
import time

TIMEOUT_SECONDS = 20
# Made anew for each request, or facts of the moment.
VOLATILE = {"date": "<date>", "x-envoy-upstream-service-time": "<ms>", "x-try": "<try>"}
# Envoy tells the machine's own address where the client's is a loopback one.
OWN_ADDRESS = re.compile(r"(^|,)(?!127\.)[0-9.]+$")
TRIES = itertools.count()
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def wait_open(port, process, log_path):
    """Waits until somebody listens."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(log_path.read_text(encoding="utf-8", errors="replace")[-3000:])


def ask(port, request):
    """What the client and the upstream saw of a request, by place."""
    body = request.body.encode()
    lines = [f"{request.method} {request.path} HTTP/{request.version}"]
    if request.host:
        lines.append(f"host: {request.host}")
    # Tries of one request are counted apart from those of another, and of the other gateway's.
    lines += [header.replace("@try", f"{port}-{next(TRIES)}") for header in request.headers]
    if body:
        lines.append(f"content-length: {len(body)}")
    if not any(header.lower().startswith("connection:") for header in request.headers):
        lines.append("connection: close")
    text = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    answer = exchange(port, text)
    return describe(answer, request, port)


def exchange(port, text):
    """Bytes there and back, until the other side closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as stream:
        stream.settimeout(TIMEOUT_SECONDS)
        try:
            stream.sendall(text)
            while part := stream.recv(65536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def describe(answer, request, port):
    """An answer as a flat map, without what differs from one request to the next."""
    if not answer:
        return {"status": "none: the connection was closed"}
    head, _, body = answer.partition(b"\r\n\r\n")
    while head.split(b" ")[1] == b"100":
        head, _, body = body.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    seen = {"status": int(status.split(" ")[1])}
    headers = sorted_headers(line.split(":", 1) for line in lines)
    upstream = None
    if headers.get("content-type") == "application/json":
        upstream = json.loads(unchunk(headers, body) or b"{}")
        if not any(header.startswith("x-try:") for header in request.headers):
            upstream.pop("attempts", None)
        # Its length follows from what the upstream saw, which is compared by itself.
        headers.pop("content-length", None)
    elif request.method != "HEAD":
        seen["body"] = unchunk(headers, body).decode("latin-1")
    headers.pop("transfer-encoding", None)
    seen |= {f"header.{name}": clean(name, value, port) for name, value in headers.items()}
    if upstream:
        told = sorted_headers(upstream.pop("headers"))
        seen |= {f"upstream.{name}": value for name, value in upstream.items()}
        for name, value in told.items():
            seen[f"upstream.header.{name}"] = clean(name, value, port)
    return seen


def sorted_headers(pairs):
    """Values by lower-case name, several joined in their order."""
    headers = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), []).append(value.strip())
    return {name: " | ".join(values) for name, values in sorted(headers.items())}


def clean(name, value, port):
    """A value without what is random, or the gateway's own port."""
    value = VOLATILE.get(name, value)
    if name in ("x-forwarded-for", "x-envoy-external-address"):
        value = OWN_ADDRESS.sub(r"\g<1>127.0.0.1", value)
    return ID.sub("<id>", value).replace(f":{port}", ":<port>")


def unchunk(headers, body):
    """The body without its chunks' frames."""
    if headers.get("transfer-encoding") != "chunked":
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if length == 0:
            break
        whole += body[:length]
        body = body[length + 2 :]
    return whole

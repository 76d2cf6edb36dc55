"""An answer as a flat map of places, without what differs from one request to the next."""

import base64
import gzip
import json
import re
import struct
from dataclasses import dataclass, field

# Made anew for each request, or facts of the moment.
VOLATILE = {"date": "<date>", "x-envoy-upstream-service-time": "<ms>", "x-try": "<try>"}
# Envoy tells the machine's own address where the client's is a loopback one.
OWN_ADDRESS = re.compile(r"(^|,)(?!127\.)[0-9.]+$")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# What a sticky cookie holds, and the SHA-256 of a certificate.
OPAQUE = re.compile(r'(?<==)"?[0-9a-f]{12,}"?(?=;|$)')


@dataclass
class Answer:
    """What came back, whatever the protocol. `status` is 0 where there was none."""

    status: int = 0
    headers: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    reset: int | None = None
    ended: bool = False


def describe(answer, request, port):
    """What the client saw, and what the upstream told of what it saw."""
    if not answer.status:
        told = "reset" if answer.reset is not None else "the connection was closed"
        return {"status": f"none: {told}"}
    headers = join_headers(answer.headers)
    trailers = join_headers(answer.trailers)
    seen = {"status": answer.status}
    kind = headers.get("content-type", "")
    body = answer.body
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if kind.startswith("application/grpc"):
        body, more = messages(body, kind)
        trailers |= more
    upstream, rest = split_told(body)
    if upstream is None:
        if request.method != "HEAD":
            seen["body"] = rest
    else:
        if not any(header.startswith("x-try:") for header in request.headers):
            upstream.pop("attempts", None)
        seen |= describe_upstream(upstream, port, "upstream")
        # Its length follows from what the upstream saw, which is compared by itself.
        headers.pop("content-length", None)
        if answer.status == 101:
            seen["tunnel"] = rest
    headers.pop("transfer-encoding", None)
    seen |= {f"header.{name}": clean(name, value, port) for name, value in headers.items()}
    seen |= {f"trailer.{name}": clean(name, value, port) for name, value in trailers.items()}
    if answer.reset is not None:
        seen["reset"] = answer.reset
    return seen


def describe_upstream(told, port, place):
    """What an upstream saw, below `place`."""
    told = dict(told)
    headers = join_headers(told.pop("headers"))
    told.pop("more", None)
    seen = {f"{place}.{name}": value for name, value in told.items()}
    for name, value in headers.items():
        seen[f"{place}.header.{name}"] = clean(name, value, port)
    return seen


def split_told(body):
    """What an upstream told, or None; and the text that isn't that."""
    line, _, rest = body.partition(b"\n")
    if line.startswith(b'{"backend"'):
        return json.loads(line), rest.decode("latin-1")
    return None, body.decode("latin-1")


def messages(body, kind):
    """The bytes of gRPC's messages, and the trailers that gRPC-Web has behind them."""
    if kind.startswith("application/grpc-web-text"):
        # Padding may stand within: each part is encoded by itself.
        body = b"".join(base64.b64decode(part) for part in re.findall(rb"[^=]+=*", body))
    whole, trailers = b"", {}
    while len(body) >= 5:
        flags, length = struct.unpack(">BI", body[:5])
        part, body = body[5 : 5 + length], body[5 + length :]
        if flags & 0x80:
            lines = part.decode("latin-1").split("\r\n")
            trailers |= join_headers(line.split(":", 1) for line in lines if line)
        else:
            whole += part
    return whole + body, trailers


def join_headers(pairs):
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
    if name == "vary":
        names = re.split(r"[, |]+", value.lower())
        value = ", ".join(sorted(set(names)))
    if name == "set-cookie":
        value = OPAQUE.sub("<hash>", value)
    if name == "x-forwarded-client-cert":
        value = re.sub(r"Hash=[0-9a-f]{64}", "Hash=<hash>", value)
        value = re.sub(r'(Cert|Chain)="[^"]*"', r'\1="<pem>"', value)
    return ID.sub("<id>", value).replace(f":{port}", ":<port>")

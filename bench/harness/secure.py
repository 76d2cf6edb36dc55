"""Load over TLS and HTTP/2, handshakes, and what an idle connection holds."""

import base64
import re
import socket
import ssl
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .process import claim

WARM_UP_SECONDS = 1
NAME = "bench.example"
REQUEST = f"GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n".encode()


def make_certificate(directory):
    """A P-256 certificate for `NAME`; the values that peers' templates may name."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key, bundle = (directory / name for name in ("tls.crt", "tls.key", "tls.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext"]
    command += [f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    bundle.write_bytes(certificate.read_bytes() + key.read_bytes())
    return {
        "certificate": certificate,
        "key": key,
        "bundle": bundle,
        "certificate64": encode(certificate),
        "key64": encode(key),
    }


def encode(path: Path):
    """A file's bytes as a Secret holds them."""
    return base64.b64encode(path.read_bytes()).decode()


@dataclass(frozen=True)
class Streams:
    """HTTP/2 load by h2load: connections, and streams at once in each."""

    connections: int
    streams: int
    seconds: int
    cores: frozenset | None
    # Further arguments.
    more: tuple = ()

    def measure(self, running, url):
        """Requests and what the peer used for them."""
        self._run(url, WARM_UP_SECONDS)
        before = running.tree.cpu()
        said = self._run(url, self.seconds)
        used = running.tree.cpu() - before
        done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
        succeeded, failed, errored = (int(number) for number in done.groups())
        if not succeeded:
            raise RuntimeError(f"{running.peer.name} answered nothing at {url}:\n{said}")
        return {
            "requests": succeeded,
            "errors": failed + errored,
            "rate": succeeded / self.seconds,
            "cpu_us": used.total * 1e6 / succeeded,
        }

    def _run(self, url, seconds):
        command = [tools.find_debian("h2load", ["nghttp2-client"]), "-t1", f"-c{self.connections}"]
        command += [f"-m{self.streams}", f"-D{seconds}", *self.more, url]
        return run(command, seconds, self.cores)


def call(directory):
    """h2load's arguments for a call of gRPC with a message of 130 bytes."""
    message = directory / "message.bin"
    message.write_bytes(struct.pack(">BI", 0, 130) + b"m" * 130)
    return ("-Hcontent-type: application/grpc", "-Hte: trailers", f"-d{message}")


def handshakes(running, seconds, resumed):
    """Connections one after the other, TLS 1.3, each with one request, so that the ticket comes:
    how many, and what the peer used for each. `resumed` begins each but the first by a ticket."""
    client = Client(running.port)
    session = client.ask(None) if resumed else None
    before = running.tree.cpu()
    count = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        next_session = client.ask(session)
        session = next_session if resumed else None
        count += 1
    used = running.tree.cpu() - before
    return {"rate": count / seconds, "cpu_us": used.total * 1e6 / count}


class Client:
    """Makes TLS connections to a peer."""

    def __init__(self, port, protocol="http/1.1"):
        self.port = port
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols([protocol])

    def connect(self, session=None):
        """A connection, whole or resumed."""
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = self.context.wrap_socket(plain, server_hostname=NAME, session=session)
        if session is not None and not secure.session_reused:
            raise RuntimeError(f"the peer at {self.port} resumes no session")
        return secure

    def ask(self, session):
        """One request on a connection of its own; the ticket for the next."""
        with self.connect(session) as secure:
            secure.sendall(REQUEST)
            secure.recv(4096)
            return secure.session


def run(command, seconds, cores):
    """A program's output."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
        start_new_session=True,
        preexec_fn=lambda: claim(cores),
    )
    return done.stdout + done.stderr


def idle_bytes(running, count):
    """Memory that each of `count` idle TLS connections adds, in bytes."""
    client = Client(running.port)
    before = running.tree.memory()["now"]
    connections = []
    try:
        for _ in range(count):
            connections.append(client.connect())
            # One request, so that it is a connection in use that has fallen idle.
            connections[-1].sendall(REQUEST)
            connections[-1].recv(4096)
        time.sleep(2)
        return (running.tree.memory()["now"] - before) / count
    finally:
        for connection in connections:
            connection.close()

"""Connections that have asked once and then say nothing."""

import select
import socket

ANSWER_SECONDS = 10


class Idle:
    """`count` HTTP/1.1 connections to a port, each of which has had one answer."""

    def __init__(self, port, path, count):
        self.address = ("127.0.0.1", port)
        self.request = f"GET {path} HTTP/1.1\r\nhost: idle.example\r\n\r\n".encode()
        self.count = count
        self.sockets = []

    def __enter__(self):
        for _ in range(self.count):
            connection = socket.create_connection(self.address, ANSWER_SECONDS)
            self.sockets.append(connection)
            connection.sendall(self.request)
            answer = connection.recv(4096)
            if b" 200 " not in answer.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"connection {len(self.sockets)} is answered {answer[:100]!r}")
        return self

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()

    def closed(self):
        """How many of them the peer has ended."""
        poll = select.poll()
        for connection in self.sockets:
            poll.register(connection, select.POLLIN)
        return len(poll.poll(0))

"""A load over HTTPS with little of its own: prepared requests on a few connections, one under way on each."""

import os
import selectors
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

TOKENS = 'admin-token,admin,uid-admin,"system:masters"\n'
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A request as bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: kubesim",
        "Authorization: Bearer admin-token",
        "Accept: application/json",
        "User-Agent: bench/1",
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Server:
    """``kubesim serve`` as a process of its own."""

    def __init__(self, directory: Path, *flags: str) -> None:
        tokens = directory / "tokens.csv"
        tokens.write_text(TOKENS)
        command = [sys.executable, "-m", "kubesim", "serve", "--port", "0", "--token-auth-file", str(tokens), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line[:2] == ["kubesim", "serve:"], line
        host, _, port = line[2].removeprefix("https://").partition(":")
        self.address = (host, int(port))
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def connect(self) -> ssl.SSLSocket:
        """A connection to the server."""
        plain = socket.create_connection(self.address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(plain)

    def cpu_seconds(self) -> float:
        """The CPU time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        assert self.process.wait(30) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


def exchange(connection: ssl.SSLSocket, data: bytes) -> tuple[int, bytes]:
    """Send a request and return status and body."""
    connection.sendall(data)
    return read_answer(connection)


def read_answer(connection: ssl.SSLSocket) -> tuple[int, bytes]:
    """The next answer of a connection."""
    buffer = connection.recv(65536)
    while HEAD_END not in buffer:
        buffer += connection.recv(65536)
    head, _, body = buffer.partition(HEAD_END)
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) :].partition(b"\r\n")[0])
    parts, size = [body], len(body)
    while size < length:
        parts.append(connection.recv(1 << 20))
        size += len(parts[-1])
    return int(head[9:12]), b"".join(parts)


def run(connections: Sequence[ssl.SSLSocket], requests: Iterable[bytes]) -> dict[int, int]:
    """Send all requests, one under way on each connection; how often each status came."""
    statuses: dict[int, int] = {}
    selector = selectors.DefaultSelector()
    waiting = iter(requests)
    open_ = 0
    for connection in connections:
        data = next(waiting, None)
        if data is not None:
            connection.sendall(data)
            selector.register(connection, selectors.EVENT_READ)
            open_ += 1
    while open_:
        for key, _ in selector.select():
            connection = key.fileobj  # type: ignore[assignment]
            status, _ = read_answer(connection)
            statuses[status] = statuses.get(status, 0) + 1
            data = next(waiting, None)
            if data is None:
                selector.unregister(connection)
                open_ -= 1
            else:
                connection.sendall(data)
    selector.close()
    return statuses

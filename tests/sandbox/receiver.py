"""A service that receives delivery receipts, and answers as its paths say."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(kw_only=True)
class Receiver:
    """The address of the service, and what it was sent."""

    url: str
    calls: list[Call] = field(default_factory=list)
    # Set when nobody waits for answers any more.
    over: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    """Answers by the path: a status, or the name of something that a receiver may do."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = dict(self.headers.items())
        self.server.receiver.calls.append(Call(method=self.command, path=self.path, headers=headers, body=body))
        name = self.path.strip("/").partition("?")[0]
        if action := getattr(self, f"_{name}", None):
            action()
        else:
            self._answer(200 if name == "ok" else int(name), {"Content-Length": "0"})

    def do_GET(self) -> None:
        self.do_POST()

    def _slow(self) -> None:
        self.server.receiver.over.wait(30)
        self.close_connection = True

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _trickle(self) -> None:
        self._answer(200, {"Content-Length": "4"})
        for _ in range(4):
            time.sleep(0.15)  # less than the time-out each, more than it together
            self.wfile.write(b".")

    def _redirect(self, status: int = 302, to: str = "/ok?redirected") -> None:
        self._answer(status, {"Location": to, "Content-Length": "0"})

    def _redirect307(self) -> None:
        self._redirect(307)

    def _round(self) -> None:
        self._redirect(to="/round")

    def _elsewhere(self) -> None:
        other = self.server.receiver.url.replace("127.0.0.1", "localhost")
        self._redirect(307, f"{other}/ok")

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
        """Say nothing."""


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run the service on a free port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        server.receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

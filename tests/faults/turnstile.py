"""A way to the sandbox that opens once so many requests stand before it, each on a connection of its own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from django_govuk_notify_outbox.sandbox.control import Sandbox


class Turnstile(ThreadingHTTPServer):
    """Listens on a free port of this machine. Requests to send wait for each other, until they are enough."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, *, opens_for: int, patience: float) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.sandbox = urlsplit(sandbox.base_url).netloc
        self.opened = threading.Event()
        self._crowd = threading.Barrier(opens_for, action=self.opened.set, timeout=patience)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def wait_for_others(self) -> None:
        """Wait until enough are here. If they do not come, all may pass, and it was never opened."""
        if not self.opened.is_set():
            with suppress(threading.BrokenBarrierError):
                self._crowd.wait()


class _Passage(BaseHTTPRequestHandler):
    """One connection, which is kept for further requests."""

    server: Turnstile
    protocol_version = "HTTP/1.1"
    # Headers and body leave in one packet, and at once
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.wait_for_others()
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        sandbox = http.client.HTTPConnection(self.server.sandbox, timeout=30)
        sandbox.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
        answer = sandbox.getresponse()
        content = answer.read()
        sandbox.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the standard library
        """Say nothing."""


@contextmanager
def running_turnstile(sandbox: Sandbox, *, opens_for: int, patience: float = 30.0) -> Iterator[Turnstile]:
    """Run a turnstile before the sandbox for as long as a test needs it."""
    with Turnstile(sandbox, opens_for=opens_for, patience=patience) as turnstile:
        threading.Thread(target=turnstile.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield turnstile
        finally:
            turnstile.shutdown()

"""A stand between the library and the sandbox, which stops a request or its answer for as long as a test likes."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from urllib.parse import urlsplit

#: Seconds to wait for what must come.
PATIENCE = 60.0


class Catch:
    """The next request with a text in it: held itself, or passed on and its answer held."""

    def __init__(self, text: str, *, is_answer: bool) -> None:
        self.text = text.encode()
        self.is_answer = is_answer
        self._caught = threading.Event()
        self._hung_up = threading.Event()
        self._decided = threading.Event()
        self._is_dropped = False

    def wait(self) -> None:
        """Wait until it is held. An answer that is held says what the sandbox has done already."""
        assert self._caught.wait(PATIENCE), "No such request came."

    def wait_until_hung_up(self) -> None:
        """Wait until the client has given up waiting for the answer."""
        assert self._hung_up.wait(PATIENCE), "The client still waits for the answer."

    def release(self) -> None:
        """Pass it on. A request goes on its way even if its client has hung up."""
        self._decided.set()

    def drop(self) -> None:
        """Pass nothing on any more."""
        self._is_dropped = True
        self._decided.set()

    def hold(self, client: socket.socket) -> bool:
        """Keep it until somebody decides whether it is to go on, with an eye on the client."""
        self._caught.set()
        client.settimeout(0.01)
        while not self._decided.is_set() and not self._hung_up.is_set():
            with suppress(TimeoutError):
                # Whoever waits for an answer says nothing: all that can come is the end
                with suppress(ConnectionError):
                    client.recv(1)
                self._hung_up.set()
        self._decided.wait()
        client.settimeout(None)
        return not self._is_dropped


class Proxy(socketserver.ThreadingTCPServer):
    """Passes on every request and every answer but those that it was told to hold."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        parts = urlsplit(url)
        self.upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._catches: list[Catch] = []
        self._waiting: list[Catch] = []

    @property
    def url(self) -> str:
        """Where clients are to connect."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def hold_answer(self, text: str) -> Catch:
        """Pass on the next request with this text in it, and keep its answer back."""
        return self._hold(Catch(text, is_answer=True))

    def hold_request(self, text: str) -> Catch:
        """Keep back the next request with this text in it."""
        return self._hold(Catch(text, is_answer=False))

    def catch_of(self, request: bytes) -> Catch | None:
        """The catch that the request falls to, which is one request's alone."""
        for catch in self._waiting:
            if catch.text in request:
                self._waiting.remove(catch)
                return catch
        return None

    def server_close(self) -> None:
        """Stop for good: what is held still must not turn up in the next test."""
        for catch in self._catches:
            catch.drop()
        super().server_close()

    def _hold(self, catch: Catch) -> Catch:
        self._catches.append(catch)
        self._waiting.append(catch)
        return catch


class _Passage(socketserver.StreamRequestHandler):
    """One connection of a client's."""

    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        with suppress(ConnectionError), socket.create_connection(self.server.upstream) as upstream:
            while request := _message(self.rfile):
                catch = self.server.catch_of(request)
                if catch is not None and not catch.is_answer and not catch.hold(self.request):
                    return
                upstream.sendall(request)
                with upstream.makefile("rb") as answers:
                    answer = _message(answers)
                if catch is not None and catch.is_answer and not catch.hold(self.request):
                    return
                if not answer:
                    return
                self.request.sendall(answer)


def _message(stream: BufferedIOBase) -> bytes:
    """A whole request or answer; nothing at the end of the connection."""
    head = b""
    while (line := stream.readline()) not in (b"", b"\r\n"):
        head += line
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    return head + line + (stream.read(int(length[1])) if length else b"")


@contextmanager
def running_proxy(url: str) -> Iterator[Proxy]:
    """Run a proxy before a server for as long as a test needs it."""
    with Proxy(url) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()

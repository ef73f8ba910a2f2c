"""How many emails a second the sandbox accepts, beside what the Python client can send at all on this machine.

python benchmarks/sandbox_throughput.py [--seconds 5] [--at-least 300]

Two callers, each over connections that are kept alive: the official client as it is, and a bare one that only writes
requests and reads answers. Each calls two servers in turn: the sandbox, and a server that answers 201 without
looking. The second tells how quick the caller is; the ratio tells how much of the wait is the sandbox's. A machine
that is shared slows all four down alike, so compare the ratios and not the figures of different runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from notifications_python_client import NotificationsAPIClient
from notifications_python_client.authentication import create_jwt_token

from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.process import running_sandbox

_BODY = json.dumps({"email_address": "amala@example.com", "template_id": defaults.PLAIN_TEMPLATE_ID}).encode()
_ANSWER = json.dumps(
    {
        "id": "226b8b0b-4e58-4a38-b6ba-c24f3e56ccb6",
        "reference": None,
        "content": {"subject": "We received your application", "body": "Hello.\n\nWe received your application."},
        "uri": "http://127.0.0.1/v2/notifications/226b8b0b-4e58-4a38-b6ba-c24f3e56ccb6",
    }
).encode()


def _answer_all() -> None:
    """Say on which port, and answer each request with the same 201, on one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    reply = (
        b"HTTP/1.1 201 CREATED\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER
    )
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while _read_message(stream):
                connection.sendall(reply)


def _read_message(stream: BinaryIO) -> bytes:
    """Return the first line of the next message, and read the rest of it. Empty: the other side has gone."""
    first = stream.readline()
    length = 0
    line = first
    while line not in (b"\r\n", b""):
        line = stream.readline()
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    stream.read(length)
    return first


@contextmanager
def _ceiling() -> Iterator[str]:
    """Run the server that answers without looking."""
    with subprocess.Popen([sys.executable, __file__, "--ceiling"], stdout=subprocess.PIPE, text=True) as process:
        try:
            port = "" if process.stdout is None else process.stdout.readline().strip()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _with_official_client(url: str, seconds: float) -> float:
    client = NotificationsAPIClient(defaults.API_KEY, base_url=url)

    def send() -> None:
        client.send_email_notification("amala@example.com", defaults.PLAIN_TEMPLATE_ID)

    return _rate(send, seconds)


def _with_bare_client(url: str, seconds: float) -> float:
    address = urlsplit(url)
    token = create_jwt_token(defaults.API_KEY[-36:], defaults.SERVICE_ID)
    head = (
        f"POST /v2/notifications/email HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    ).encode()
    with (
        socket.create_connection((address.hostname or "", address.port or 80)) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            connection.sendall(head + _BODY)
            first = _read_message(stream)
            if b" 201 " not in first:
                raise SystemExit(f"The server answered {first!r}.")

        return _rate(send, seconds)


def _rate(send: Callable[[], None], seconds: float) -> float:
    for _ in range(20):
        send()
    sent, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        send()
        sent += 1
    return sent / passed


def main() -> None:
    """Measure, print a table, and fail if the sandbox is slower than asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each of the four is measured")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail below so many sends a second")
    parser.add_argument("--ceiling", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ceiling:
        _answer_all()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs, "
          f"load {os.getloadavg()[0]:.1f}, one connection kept alive, sends a second:\n")  # fmt: skip
    print(f"{'':<18}{'sandbox':>9}{'ceiling':>9}{'ratio':>8}")
    best = 0.0
    with running_sandbox("--daily-limit", "0", rate_limit=0) as sandbox, _ceiling() as ceiling:
        for name, caller in (("official client", _with_official_client), ("bare client", _with_bare_client)):
            # In turns, so that a neighbour on the machine disturbs both
            halves = [
                (caller(sandbox.base_url, options.seconds / 2), caller(ceiling, options.seconds / 2)) for _ in range(2)
            ]
            measured, most = (sum(half[side] for half in halves) / 2 for side in (0, 1))
            best = max(best, measured)
            print(f"{name:<18}{measured:>9.0f}{most:>9.0f}{measured / most:>8.2f}")
    if best < options.at_least:
        raise SystemExit(f"The sandbox accepted {best:.0f} emails a second, and {options.at_least:.0f} were asked for.")


if __name__ == "__main__":
    main()

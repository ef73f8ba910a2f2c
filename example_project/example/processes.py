"""Child processes that are watched, and gone when we are."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Self

from django.conf import settings

TAIL_LINES = 40
#: Seconds that one child has to end before it is killed. A worker finishes what it has begun, and takes some anyway.
PATIENCE = 15.0
#: Below those that Linux, macOS and the BSDs hand out to connections.
LISTENING_PORTS = range(20_000, 32_768)

PYTHON = (sys.executable, "-u")
SANDBOX = (*PYTHON, "-m", "django_govuk_notify_outbox.sandbox")
CELERY = (*PYTHON, "-m", "celery", "--quiet", "-A", "example")
# What gossip and mingle tell other workers is of no use to a single one, and takes a second at its start
WORKER = (*CELERY, "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle")
BEAT = (*CELERY, "beat", "--loglevel", "INFO", "--pidfile", "")

WORKER_READY = r"celery@.* ready"
SANDBOX_READY = r"Listening on (http://\S+)"


class Interrupted(Exception):
    """Somebody asked us to stop."""


class ChildDied(Exception):
    """A child ended by itself."""


class StopSignals:
    """Ctrl-C, SIGTERM and SIGHUP, counted, and heeded where ``check()`` is called.

    An exception out of a signal handler could come between a child's start and our taking note of it, and that child
    would stay behind.
    """

    def __init__(self) -> None:
        self.asked = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1

    def check(self) -> None:
        """Go on, or raise Interrupted."""
        if self.asked:
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Wait, unless interrupted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.05))
        self.check()


class Child:
    """One process and those that it starts, with the last lines that they wrote."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str, str], None]
    ) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.head: list[str] = []
        self._on_line = on_line
        self.process = subprocess.Popen(  # noqa: S603 - commands of ours
            command,
            cwd=settings.BASE_DIR,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own: a Ctrl-C in the terminal is for us, who stop everything in its turn, and what a child
            # leaves behind can be found by the group
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            text = line.rstrip()
            self.tail.append(text)
            if len(self.head) < TAIL_LINES:
                self.head.append(text)
            # Nobody may be listening any more; go on, or the child would wait for us to read
            with contextlib.suppress(OSError, ValueError):
                self._on_line(self.name, text)

    def said(self, pattern: str) -> re.Match[str] | None:
        """The first match in the first lines that the child wrote."""
        return next((match for line in list(self.head) if (match := re.search(pattern, line))), None)

    def check(self) -> None:
        """Go on, or raise ChildDied."""
        if (code := self.process.poll()) is not None:
            raise ChildDied(f"{self.name} ended by itself with exit code {code}")

    def stop(self, *, patience: float, in_a_hurry: Callable[[], bool]) -> None:
        """End it, politely at first, and everything that it started."""
        self.process.terminate()
        end = time.monotonic() + patience
        while self.process.poll() is None and time.monotonic() < end and not in_a_hurry():
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(1)


class Children:
    """A context in which processes run; at its end they are stopped, the last one first."""

    def __init__(
        self,
        *,
        signals: StopSignals,
        on_line: Callable[[str, str], None] = lambda _name, _line: None,
        patience: float = PATIENCE,
    ) -> None:
        self._signals = signals
        self._on_line = on_line
        self._patience = patience
        self.all: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asked_before = self._signals.asked
        for child in reversed(self.all):
            # A second Ctrl-C is from somebody who has waited long enough
            child.stop(patience=self._patience, in_a_hurry=lambda: self._signals.asked > asked_before)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start a process. ``environment`` is added to our own."""
        child = Child(name, command, environment, self._on_line)
        self.all.append(child)
        return child

    def check(self) -> None:
        """Go on, or raise Interrupted or ChildDied."""
        self._signals.check()
        for child in self.all:
            child.check()

    def wait_until_said(self, child: Child, pattern: str, *, seconds: float) -> re.Match[str]:
        """Wait for a line of a child's. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not (match := child.said(pattern)):
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"{child.name} was not ready after {seconds:.0f} seconds")
            time.sleep(0.05)
        return match


def free_port(wanted: int) -> int:
    """The wanted port if nobody has it, else one that is free. 0 stands for any."""
    # Not one that the system would choose: a connection of somebody's could have that before our server does
    for port in (wanted or random.choice(LISTENING_PORTS), *random.sample(LISTENING_PORTS, 100)):  # noqa: S311 - no secret
        with socket.socket() as probe:
            # As servers do it: a port whose last connections are still fading counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise OSError("No free port")

"""A server of a test's own, on a free port and in a folder of its own, which the test may kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.ports import free_port


class Server(ABC):
    """A server that runs while its ``with`` block does, unless it is stopped, killed or started again in between."""

    #: Whose processes the server's are, where it refuses to run as root.
    account: ClassVar[str | None] = None
    #: What stops it in good order, whoever is still connected.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    #: Seconds that it may take to start or to stop.
    patience: ClassVar[float] = 60.0

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="govuk-notify-outbox-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if self.account is not None and os.getuid() == 0:
            shutil.chown(self.folder, self.account, self.account)
            self._as = {"user": self.account, "group": self.account, "extra_groups": []}

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self._clear_away()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear_away()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What to run."""

    @abstractmethod
    def _greet(self) -> None:
        """Ask it for something, which raises for as long as the server does not serve."""

    def _prepare(self) -> None:  # noqa: B027  # most need nothing
        """Make what it needs before its first start."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start it, unless it runs, and wait until it serves."""
        if self._process is not None:
            return
        ends_at = time.monotonic() + self.patience
        while not self._serves(ends_at):
            # What is left of one that was killed may keep the new one from starting for a moment
            assert time.monotonic() < ends_at, self.log()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text(errors="replace")

    def _serves(self, ends_at: float) -> bool:
        self._process = self._spawn(self._command())
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                self._greet()
            except Exception:  # noqa: BLE001  # each client has exceptions of its own for a server that is not there
                time.sleep(0.05)
            else:
                return True
        self.kill()
        return False

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own, which is killed as a whole
                start_new_session=True,
                **self._as,
            )

    def _run(self, command: list[str]) -> None:
        process = self._spawn(command)
        assert process.wait(self.patience) == 0, self.log()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, number)
            process.wait(self.patience)
            # Of a group, the first to die may not be the one that listens
            while self._is_listening():
                time.sleep(0.01)

    def _is_listening(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _clear_away(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

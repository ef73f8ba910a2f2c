"""The storm's workers, beats and callers: real processes, started again when they end, as a supervisor would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CELERY = (sys.executable, "-m", "celery", "--app", "tests.celery_app")
#: Seconds that a process has to end when it is told to, before it is killed.
PATIENCE = 20.0
#: Seconds before one that ended is started again.
PAUSE = 0.5

#: The workers, in turn: how Celery runs their tasks, how far their clock is off, how long they keep connections.
_WORKERS: tuple[tuple[list[str], dict[str, str]], ...] = (
    (["--pool", "prefork", "--concurrency", "2"], {"TESTS_CLOCK_OFFSET": "1"}),
    (["--pool", "threads", "--concurrency", "4"], {"STORM_CONN_MAX_AGE": "600"}),
    (["--pool", "prefork", "--concurrency", "2"], {"TESTS_CLOCK_OFFSET": "-1", "STORM_CONN_MAX_AGE": "600"}),
)
_QUIETLY = ("--without-gossip", "--without-mingle", "--loglevel", "WARNING")


@dataclass
class Member:
    """One process, from start to start. It leads a group of its own, to which its children belong."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    #: Whether it may end by itself, with exit code 0.
    ends: bool = False
    starts: int = 0
    stopped: int = 0
    ended_at: float | None = None
    told_at: float | None = None
    process: subprocess.Popen[bytes] | None = None
    groups: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.groups.append(self.process.pid)
        self.starts += 1
        self.stopped = 0
        self.ended_at = self.told_at = None

    @property
    def pid(self) -> int | None:
        """Its number, while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    @property
    def is_done(self) -> bool:
        """Whether it has done all it had to do."""
        return self.ends and self.process is not None and self.process.poll() == 0

    def children(self) -> list[int]:
        """The numbers of its own processes."""
        return [] if self.pid is None else sorted(_children_of(self.pid))

    def kill(self) -> None:
        """SIGKILL to the process itself; its children notice."""
        self._signal(signal.SIGKILL)

    def kill_child(self, number: int) -> None:
        """SIGKILL to one of its children; to itself if it has none."""
        children = self.children()
        if not children:
            self.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[number % len(children)], signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Tell it to end."""
        if self.told_at is None:
            self.told_at = time.monotonic()
        self._signal(number)

    def stop(self) -> int:
        """SIGSTOP to it and its children; the group, for ``go_on``."""
        if self.pid is None:
            return 0
        self.stopped += 1
        _signal_group(self.pid, signal.SIGSTOP)
        return self.pid

    def go_on(self, group: int) -> None:
        """SIGCONT, unless it was stopped more often than told to go on."""
        if group == self.pid:
            self.stopped -= 1
        if group != self.pid or self.stopped == 0:
            _signal_group(group, signal.SIGCONT)

    def clear_away(self) -> None:
        """Leave nothing of it running."""
        for group in self.groups:
            _signal_group(group, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            os.kill(pid, number)


class Crew:
    """All processes of the storm, looked after by a thread of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**environment, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        self.workers: list[Member] = []
        self.beats: list[Member] = []
        self.callers: list[Member] = []
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    @property
    def members(self) -> list[Member]:
        """Everybody."""
        return [*self.workers, *self.beats, *self.callers]

    @property
    def restarts(self) -> int:
        """How often a process had to be started again."""
        return sum(member.starts - 1 for member in self.members)

    def start(self, *, workers: int, beats: int, callers: Sequence[Sequence[str]]) -> None:
        """Start so many workers and beats, and callers with these arguments."""
        for number in range(workers):
            pool, variables = _WORKERS[number % len(_WORKERS)]
            name = f"worker-{number}"
            arguments = ["worker", *pool, *_QUIETLY, "--hostname", f"{name}@storm"]
            self.workers.append(self._member(name, [*CELERY, *arguments], variables))
        for number in range(beats):
            schedule = str(self._folder / f"schedule-{number}")
            arguments = ["beat", "--loglevel", "WARNING", "--schedule", schedule, "--pidfile", ""]
            self.beats.append(self._member(f"beat-{number}", [*CELERY, *arguments], {}))
        for number, values in enumerate(callers):
            command = [sys.executable, "-m", "tests.storm.caller", *values]
            self.callers.append(self._member(f"caller-{number}", command, {}, ends=True))
        self._thread.start()

    def _member(self, name: str, command: list[str], variables: Mapping[str, str], *, ends: bool = False) -> Member:
        member = Member(name, command, {**self._environment, **variables}, self._folder / f"{name}.log", ends=ends)
        member.start()
        return member

    def end(self) -> None:
        """Have workers and beats finish what they have begun, and end."""
        self._stop_supervising()
        for member in self.members:
            member.end(signal.SIGTERM)
        ends_at = time.monotonic() + PATIENCE
        while any(member.pid for member in self.members) and time.monotonic() < ends_at:
            time.sleep(0.05)
        self.clear_away()

    def clear_away(self) -> None:
        """Leave no process running, whatever state it is in."""
        self._stop_supervising()
        for member in self.members:
            member.clear_away()

    def _stop_supervising(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _supervise(self) -> None:
        while not self._is_over.wait(0.1):
            for member in self.members:
                self._look_after(member)

    def _look_after(self, member: Member) -> None:
        now = time.monotonic()
        if member.pid is not None:
            # One that does not end when told, and is not stopped either, would be killed by any supervisor
            if member.told_at is not None and now - member.told_at > PATIENCE and not member.stopped:
                member.kill()
        elif not member.is_done:
            member.ended_at = member.ended_at or now
            if now - member.ended_at > PAUSE:
                member.start()


def _signal_group(group: int, number: signal.Signals) -> None:
    if group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _children_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        # The name in brackets may hold anything
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(status.parent.name))
    return found

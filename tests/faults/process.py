"""Starts processes that stop themselves at a chosen step, and waits for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from tests.faults.child import Stop
from tests.project import ROOT, Project

__all__ = ["Stop", "process", "run", "wait_until_stopped"]


@contextmanager
def process(project: Project, do: str, *pks: int, stop: Stop | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does one of ``ACTIONS``; killed at the end, if it is still there."""
    order = json.dumps({"do": do, "pks": pks, "stop": None if stop is None else asdict(stop)})
    with (project.folder / "process.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child", order],
            cwd=ROOT,
            env=project.environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def run(project: Project, do: str, *pks: int, stop: Stop | None = None) -> int:
    """Run a process to its end; its exit code, or minus the signal that ended it."""
    with process(project, do, *pks, stop=stop) as child:
        return child.wait(timeout=60)


def wait_until_stopped(child: subprocess.Popen[bytes]) -> None:
    """Wait until a process has stopped itself by SIGSTOP."""
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"the process ended instead: {status}"

"""The sandbox in a process of its own, for as long as a test needs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .control import Sandbox

_PACKAGE = __package__
_ROOT = Path(__file__).resolve().parents[2]
_GREETING = "Listening on "
_PATIENCE = 20.0


@contextmanager
def running_sandbox(
    *options: str, sending_after: float = 1.0, final_after: float = 2.0, rate_limit: int | None = None
) -> Iterator[Sandbox]:
    """Run a sandbox on a free port of this machine, empty at first, and stop it at the end.

    Further options are those of the command.
    """
    # -P: not what lies in the caller's folder under the same name
    command = [sys.executable, "-P", "-m", _PACKAGE, "--port", "0"]
    command += ["--sending-after", str(sending_after), "--final-after", str(final_after)]
    command += [] if rate_limit is None else ["--rate-limit", str(rate_limit)]
    command += options
    # The same code as the caller's, wherever the caller was started.
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(  # noqa: S603  our own program
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Sandbox(_address_from(process))
    finally:
        _stop(process)


def _address_from(process: "subprocess.Popen[str]") -> str:
    line = "" if process.stdout is None else process.stdout.readline()
    if not line.startswith(_GREETING):
        raise RuntimeError("The sandbox didn't start. What it said is in the output above.")
    return line.removeprefix(_GREETING).strip()


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()

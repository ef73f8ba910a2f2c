"""The benchmark of the sandbox runs, and says what it measured. How much that is, is for people to judge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "sandbox_throughput.py"


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_SCRIPT), "--seconds", "0.1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_benchmark_prints_the_sandbox_beside_the_ceiling() -> None:
    done = _run()

    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"^(official|bare) client +\d+ +\d+ +\d\.\d\d$", done.stdout, re.MULTILINE)) == 2


def test_benchmark_fails_below_what_is_asked_for() -> None:
    done = _run("--at-least", "1000000000")

    assert done.returncode == 1
    assert "and 1000000000 were asked for." in done.stderr

"""What a test needs that not every machine has."""

from __future__ import annotations

import os
import shutil

import pytest


def need(there: object, what: str) -> None:
    """Skip the test where something is missing; fail it in CI, where nothing may be missing."""
    if there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"This test needs {what}, and in CI nothing may be missing.")
    pytest.skip(f"needs {what}")


def program(name: str, *folders: str) -> str:
    """The path of a program, looked for on the PATH and in these folders; the test needs it."""
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    need(path, f"the program {name}")
    assert path is not None
    return path

"""A second database through a router: in a project with settings of its own, whose tests are run from here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import BROKER_OF_WORKERS
from tests.project import ROOT

SETTINGS = "tests.faults.settings_two_databases"


@pytest.mark.e2e
def test_emails_may_have_a_database_of_their_own_with_replicas_that_lag_behind() -> None:
    """Each promise is a test in two_databases.py."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ds", SETTINGS]
    finished = subprocess.run(
        [*command, "tests/faults/two_databases.py"],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": SETTINGS, "CELERY_BROKER_URL": BROKER_OF_WORKERS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "8 passed" in finished.stdout

"""``manage.py demo``: five emails, five fates."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo.play import DemoFailed, play
from django_govuk_notify_outbox.sandbox.defaults import API_KEY
from example.processes import Interrupted, StopSignals
from example.terminal import Terminal, wants_colour

FOLDER_PREFIX = "notify-outbox-demo-"
INTERRUPTED_EXIT_CODE = 130


class Command(BaseCommand):
    """Shows and checks the whole road of an email, with nothing mocked."""

    help = (
        "Sends five emails through a real worker and beat to a sandbox, and prints what becomes of them. "
        "Everything is kept in a temporary folder, unless DATABASE_URL or CELERY_BROKER_URL name other places. "
        "Ends with 1 if anything is not as expected."
    )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start over in a temporary folder, or, there already, run the demo and remove the folder."""
        if not settings.VAR.name.startswith(FOLDER_PREFIX):
            _start_over(options)
        terminal = Terminal(sys.stdout, colour=wants_colour(sys.stdout, options))
        try:
            play(terminal, StopSignals(), run=os.environ["DEMO_RUN"])
        except DemoFailed as failure:
            raise CommandError(str(failure)) from None
        except Interrupted:
            raise CommandError("Interrupted", returncode=INTERRUPTED_EXIT_CODE) from None
        finally:
            shutil.rmtree(settings.VAR, ignore_errors=True)


def _start_over(options: dict[str, Any]) -> None:
    """Become a new process of the same command, whose settings are the demo's from their first line."""
    run = secrets.token_hex(4)
    environment = {
        **os.environ,
        "EXAMPLE_VAR": tempfile.mkdtemp(prefix=FOLDER_PREFIX),
        "DEMO_RUN": run,
        "CELERY_QUEUE": f"{FOLDER_PREFIX}{run}",
        "GOVUK_NOTIFY_API_KEY": API_KEY,
        # It has no website that receipts could come to
        "GOVUK_NOTIFY_RECEIPT_TOKENS": "",
        "SYNC_INTERVAL": "1",
        "NOTIFY_RETRY_INTERVALS": "1,1,1,1,1,1",
    }
    flags = [f"--{name.replace('_', '-')}" for name in ("no_color", "force_color") if options[name]]
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "demo", *flags]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - this very command

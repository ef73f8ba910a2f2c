"""A process of its own that does one thing, and that stops itself at a chosen step.

    python -m tests.faults.child JSON

The package knows nothing of this: the function at the step is replaced, in this process, by one that sends the process
a signal before or after it does its work.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PACKAGE = "django_govuk_notify_outbox"


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where to stop: at which call of which function, before or after it, and by which signal."""

    at: str
    call: int = 1
    after: bool = False
    by: int = signal.SIGKILL

    def install(self) -> None:
        """Put the trap into this process."""
        path, name = self.at.rsplit(".", 1)
        owner: Any = pkgutil.resolve_name(path if path.startswith("requests.") else f"{PACKAGE}.{path}")
        work = getattr(owner, name)
        calls = 0

        def trap(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.call and not self.after:
                os.kill(os.getpid(), self.by)
            result = work(*arguments, **options)
            if calls == self.call and self.after:
                os.kill(os.getpid(), self.by)
            return result

        setattr(owner, name, trap)


def _call(pks: Sequence[int]) -> None:
    from django.db import transaction

    from django_govuk_notify_outbox.sandbox import defaults
    from django_govuk_notify_outbox.utils import send_email_notification

    with transaction.atomic():
        send_email_notification("amala@example.com", defaults.TEMPLATE_ID, {"name": "Amala"})


def _send(pks: Sequence[int]) -> None:
    from django_govuk_notify_outbox import tasks

    for pk in pks:
        tasks.send(pk)


def _sync(pks: Sequence[int]) -> None:
    from django_govuk_notify_outbox import tasks

    tasks.sync()


def _race(pks: Sequence[int]) -> None:
    """Deliver all of them in each of four threads, and sync in a fifth, all at once."""
    import threading

    from django.db import connection

    from django_govuk_notify_outbox import tasks

    def in_turn(offset: int) -> None:
        try:
            for pk in [*pks[offset:], *pks[:offset]]:
                tasks.send(pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=in_turn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    tasks.sync()
    for thread in threads:
        thread.join()


ACTIONS = {"call": _call, "send": _send, "sync": _sync, "race": _race}


def main() -> None:
    """Do what the command line says."""
    import django

    django.setup()
    order = json.loads(sys.argv[1])
    if order["stop"] is not None:
        Stop(**order["stop"]).install()
    ACTIONS[order["do"]](order["pks"])


if __name__ == "__main__":
    main()

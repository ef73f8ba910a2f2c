"""``manage.py govuk_notify_outbox_sync``: one run of sync, here and now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django_govuk_notify_outbox import figures, health, holds, sync
from django_govuk_notify_outbox.figures import Backlog, Overdue
from django_govuk_notify_outbox.management import outbox
from django_govuk_notify_outbox.management.outbox import OutboxCommand, Report

_AT_WORK = "Another run of sync is at work. It does what is due."
_HELD = "Sending is held for some seconds: Notify limited us, or did not take our key."


class Command(OutboxCommand):
    """Ends with exit status 0 when the run is over, and with 1 when there was none, since another is at work."""

    help = (
        "Send what is due to be sent and ask Notify what became of the rest: one run of sync, in this process. "
        "The exit status is 1 if another run is at work."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take ``--dry-run``."""
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what is due, and change nothing")

    def report(self, options: dict[str, Any]) -> Report:
        """Run, and say what was due before and is due after."""
        before = figures.overdue()
        if options["dry_run"]:
            return _dry_run(before)
        if not sync.run():
            return Report(lines=[_AT_WORK], as_json={"ran": False, "due_before": _as_json(before)}, is_good=False)
        after, is_held = figures.overdue(), holds.is_sending_held()
        return Report(
            lines=[
                "Done.",
                f"Due to be sent:      {_change(before.to_send, after.to_send)}",
                f"Due to be looked up: {_change(before.to_look_up, after.to_look_up)}",
                *([_HELD] if is_held else []),
            ],
            as_json={
                "ran": True,
                "due_before": _as_json(before),
                "due_after": _as_json(after),
                "sending_held": is_held,
            },
        )


def _dry_run(due: Overdue) -> Report:
    is_running, is_held = figures.sync_runs().is_running, holds.is_sending_held()
    return Report(
        lines=[
            "Dry run: nothing is changed.",
            f"Due to be sent:      {outbox.backlog(due.to_send)}",
            f"Due to be looked up: {outbox.backlog(due.to_look_up)}",
            *([_HELD] if is_held else []),
            *([_AT_WORK] if is_running else []),
        ],
        as_json={"dry_run": True, "due": _as_json(due), "sending_held": is_held, "other_run": is_running},
        is_good=not is_running,
    )


def _change(before: Backlog, after: Backlog) -> str:
    return f"{_number(before)} before, {_number(after)} after"


def _number(backlog: Backlog) -> str:
    return f"{backlog.number}{' or more' if backlog.is_more else ''}"


def _as_json(due: Overdue) -> dict[str, Any]:
    return {"send": health.backlog_as_json(due.to_send), "look_up": health.backlog_as_json(due.to_look_up)}

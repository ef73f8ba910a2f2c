"""Whether the outbox is well, and if not, what is wrong: for a probe, a script, or an engineer on call.

``manage.py govuk_notify_outbox_health`` prints it. docs/operating.md says what to do about each problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django_govuk_notify_outbox import figures, holds
from django_govuk_notify_outbox.events import Cause
from django_govuk_notify_outbox.figures import Backlog, Overdue, Recent, Sync

_WORDS = {
    Cause.CLOCK: "Notify says that the clock of one of our hosts is wrong",
    Cause.KEY: "Notify does not take our API key",
    Cause.SETTINGS: "A setting is missing or malformed, such as the API key",
    Cause.ADDRESS: "What answers at BASE_URL does not know what it is asked",
}


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From where on something is a problem. All in seconds."""

    #: An email that Notify has not accepted so long after it was made, or sent again by hand. By then it has been tried
    #: five times.
    waiting: float = 300
    #: An email that should have been sent or looked up so long ago.
    overdue: float = 300
    #: A refusal for a reason that stops every email, no longer ago than this.
    refused: float = 600


DEFAULTS = Thresholds()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that somebody should look at."""

    #: For scripts: ``waiting``, ``sync-not-running``, ``sync-behind``, ``refused-clock``, ``refused-key``,
    #: ``refused-settings`` or ``refused-address``.
    id: str
    #: One sentence, or two.
    message: str


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """Attempts that failed for one reason, which would fail those of other emails too."""

    cause: Cause
    number: int
    #: Seconds since the newest of them.
    newest: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """How the outbox is."""

    problems: Sequence[Problem]
    #: The emails that Notify has not accepted and that may still be sent.
    waiting: Backlog
    overdue: Overdue
    sync: Sync
    #: Whether nobody may send just now, for Notify limited us or did not take our key a few seconds ago.
    sending_held: bool
    #: Seconds since Notify first refused, if it has accepted nothing after that. Refusals for our rate count too.
    refused_for: float | None
    refusals: Sequence[Refusals]

    @property
    def is_healthy(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The same, as values that JSON knows. There is nothing personal in it."""
        return {
            "healthy": self.is_healthy,
            "problems": [asdict(problem) for problem in self.problems],
            "waiting": backlog_as_json(self.waiting),
            "overdue": {
                "send": backlog_as_json(self.overdue.to_send),
                "look_up": backlog_as_json(self.overdue.to_look_up),
            },
            "sync": {"running": self.sync.is_running, "worked_seconds_ago": _rounded(self.sync.worked)},
            "sending": {"held": self.sending_held, "refused_for_seconds": _rounded(self.refused_for)},
            "refusals": [
                {"cause": each.cause.value, "number": each.number, "newest_seconds_ago": _rounded(each.newest)}
                for each in self.refusals
            ],
        }


def report(thresholds: Thresholds = DEFAULTS) -> Report:
    """How the outbox is just now. It takes some ten statements that are cheap at any number of emails.

    Raises what the database raises when it does not answer.
    """
    waiting = figures.waiting_to_be_sent()
    overdue = figures.overdue()
    sync = figures.sync_runs()
    recent = figures.recently(thresholds.refused)
    refusals = _refusals(recent)
    return Report(
        problems=[
            *_of_waiting(waiting, thresholds.waiting),
            *_of_sync(overdue.oldest, sync, thresholds.overdue),
            *(Problem(id=f"refused-{each.cause.value}", message=_of_refusals(each)) for each in refusals),
        ],
        waiting=waiting,
        overdue=overdue,
        sync=sync,
        sending_held=holds.is_sending_held(),
        refused_for=recent.refused,
        refusals=refusals,
    )


def _refusals(recent: Recent) -> list[Refusals]:
    found = []
    for cause in Cause:
        alike = [each for each in recent.happenings if each.cause is cause]
        if alike:
            number, newest = sum(each.number for each in alike), min(each.newest for each in alike)
            found.append(Refusals(cause=cause, number=number, newest=newest))
    return found


def _of_waiting(waiting: Backlog, threshold: float) -> Iterator[Problem]:
    if waiting.oldest is not None and waiting.oldest > threshold:
        message = f"The oldest email that Notify has not accepted has waited for {waiting.oldest:.0f} seconds."
        yield Problem(id="waiting", message=message)


def _of_sync(overdue: float | None, sync: Sync, threshold: float) -> Iterator[Problem]:
    if overdue is None or overdue <= threshold:
        return
    message = f"The oldest overdue email has been overdue for {overdue:.0f} seconds."
    if sync.is_running:
        yield Problem(id="sync-behind", message=f"{message} Sync is at work, and does not keep up.")
    elif sync.worked is not None and sync.worked <= threshold:
        yield Problem(id="sync-behind", message=f"{message} Sync last worked {sync.worked:.0f} seconds ago.")
    else:
        last = "has never worked" if sync.worked is None else f"last worked {sync.worked:.0f} seconds ago"
        yield Problem(id="sync-not-running", message=f"{message} Sync {last}.")


def _of_refusals(refusals: Refusals) -> str:
    times = "once" if refusals.number == 1 else f"{refusals.number} times"
    return f"{_WORDS[refusals.cause]}: {times} lately, last {refusals.newest:.0f} seconds ago."


def backlog_as_json(backlog: Backlog) -> dict[str, Any]:
    """A backlog as values that JSON knows."""
    return {"number": backlog.number, "or_more": backlog.is_more, "oldest_seconds": _rounded(backlog.oldest)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)

"""What came of a burst or a backlog, as the sandbox saw it."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import Goals
from django_govuk_notify_outbox.sandbox.control import Sandbox


@dataclass(frozen=True)
class Sent:
    """What the sandbox accepted and refused, up to a moment."""

    #: Seconds since 1970 at which an email was accepted, in order.
    accepted_at: list[float]
    #: How often an email with this reference was accepted.
    references: Counter[str]
    posted: int
    limited: int

    @property
    def limited_share(self) -> float:
        """The share of requests that were refused with 429."""
        return self.limited / self.posted if self.posted else 0.0

    @property
    def per_second(self) -> float:
        """Emails accepted in a second, from the first to the last."""
        return rate(self.accepted_at)


def sent_to(sandbox: Sandbox) -> Sent:
    """Everything since the sandbox was reset."""
    # In this order: what arrives in between counts as accepted, and makes no request look refused
    statuses = [request["status"] for request in sandbox.requests() if request["method"] == "POST"]
    emails = sandbox.emails()
    return Sent(
        accepted_at=sorted(dt.datetime.fromisoformat(email["created_at"]).timestamp() for email in emails),
        references=Counter(email["reference"] for email in emails),
        posted=len(statuses),
        limited=statuses.count(429),
    )


def rate(moments: Sequence[float]) -> float:
    """How many of the moments in a second, from the first to the last; NaN for fewer than two."""
    return (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else math.nan


def since_dry(accepted_at: Sequence[float], *, per_minute: int) -> Sequence[float]:
    """Those of the moments since Notify's token bucket was first empty; none if it never was.

    Until then nothing is refused, so what was accepted tells what was in the bucket.
    """
    largest = min(math.ceil(per_minute / 3) + 1, 1_000)
    tokens, before = float(largest), accepted_at[0] if accepted_at else 0.0
    for index, moment in enumerate(accepted_at):
        tokens = min(tokens + (moment - before) * per_minute / 60, largest) - 1
        before = moment
        # The last token is never given
        if tokens < 2:
            return accepted_at[index:]
    return []


def check_each_once(goals: Goals, sent: Sent, references: Sequence[str]) -> None:
    """Note every email that was not accepted exactly once."""
    twice = [reference for reference, count in sent.references.items() if count > 1]
    missing = set(references) - set(sent.references)
    if twice or missing:
        goals.hold(f"{len(missing)} emails were not accepted, and {len(twice)} more than once.")

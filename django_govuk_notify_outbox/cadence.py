"""How often Notify is asked: what became of an email that it has, and whether it has one whose attempt is unclear."""

from __future__ import annotations

import datetime as dt
import math

#: Seconds after its acceptance at which an email is looked up for the first time: somebody may be watching, and most
#: emails are delivered within seconds.
FIRST = 5.0
#: The same where Notify posts receipts. It tries one for 25 minutes, so an email that has none by now may never get
#: one: Notify sends none for some failures, and none to a receiver that it cannot reach.
FIRST_WITH_RECEIPTS = 1800.0
#: From then on an email is looked up again before it is so many times as old, and not before it is twice as old.
GROWTH = 3.0
#: The most time between two looks.
LONGEST = 6 * 3600.0
#: Notify gives up on an email after 72 hours, in a job that runs at night: after five days nothing can change.
GIVE_UP_AFTER = 5 * 24 * 3600.0
#: An email that Notify does not know at this age was never stored (its address simulates) or has been deleted.
UNKNOWN_FOR_GOOD_AFTER = 3600.0

#: The least and the most time between two questions about an unclear attempt: the email may still have to be sent.
LEAST_SILENCE = 5.0
LONGEST_SILENCE = 600.0
#: The wait before the next question, as a share of the attempt's age.
SHARE = 0.25


def next_look(
    *, accepted_at: dt.datetime, now: dt.datetime, receipts: bool = False, unknown: bool = False
) -> dt.datetime | None:
    """When to look an email up next; None when Notify cannot have news of it any more.

    ``receipts``: Notify posts us receipts. ``unknown``: asked just now, Notify did not know the email.
    """
    age = (now - accepted_at).total_seconds()
    if age >= (UNKNOWN_FOR_GOOD_AFTER if unknown else GIVE_UP_AFTER):
        return None
    first = FIRST_WITH_RECEIPTS if receipts else FIRST
    if age < first:
        return min(accepted_at, now) + dt.timedelta(seconds=first)
    wait = min(age * (GROWTH - 1), LONGEST)
    return _on_the_grid(now + dt.timedelta(seconds=wait), step=2.0 ** math.floor(math.log2(wait / 2)))


def _on_the_grid(moment: dt.datetime, *, step: float) -> dt.datetime:
    """The moment, or the last one before it that is a multiple of the step.

    So emails that were sent one after the other are due at the same moment, and one page of Notify's list serves them
    all. Without this, each sync run would read a page for the few that have become due since the run before.
    """
    return moment - dt.timedelta(seconds=moment.timestamp() % step)


def next_question(*, attempt_started_at: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When to ask again about an unclear attempt, after a question that Notify did not answer.

    There is no end to it: nothing may be sent, and nothing called failed, before Notify has answered.
    """
    age = (now - attempt_started_at).total_seconds()
    return now + dt.timedelta(seconds=min(max(age * SHARE, LEAST_SILENCE), LONGEST_SILENCE))

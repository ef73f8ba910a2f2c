"""How often Notify is asked: what became of an email that it has, and whether it has one whose attempt is unclear."""

from __future__ import annotations

import datetime as dt

#: Seconds after its acceptance at which an email is looked up for the first time, and the least time between two
#: looks: somebody may be watching, and most emails are delivered within seconds.
SHORTEST = 5.0
#: The most time between two looks.
LONGEST = 6 * 3600.0
#: The most time between two questions about an unclear attempt: the email may still have to be sent.
LONGEST_SILENCE = 600.0
#: The wait before the next look, as a share of the email's age: news is at most a quarter older than it need be, and
#: an email is looked up some fifty times in its life rather than tens of thousands.
SHARE = 0.25
#: Notify gives up on an email after 72 hours, in a job that runs at night: after five days nothing can change.
GIVE_UP_AFTER = 5 * 24 * 3600.0


def next_look(*, accepted_at: dt.datetime, now: dt.datetime) -> dt.datetime | None:
    """When to look an email up next; None when Notify cannot have news any more."""
    age = (now - accepted_at).total_seconds()
    if age >= GIVE_UP_AFTER:
        return None
    return now + dt.timedelta(seconds=min(max(age * SHARE, SHORTEST), LONGEST))


def next_question(*, attempt_started_at: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When to ask again about an unclear attempt, after a question that Notify did not answer.

    There is no end to it: nothing may be sent, and nothing called failed, before Notify has answered.
    """
    age = (now - attempt_started_at).total_seconds()
    return now + dt.timedelta(seconds=min(max(age * SHARE, SHORTEST), LONGEST_SILENCE))

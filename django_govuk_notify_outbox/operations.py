"""What people do to emails: send again, ask Notify now, stop. Shared by the admin and the commands.

Nothing here can send an email twice. Whatever may be at Notify already is asked about first, and whatever is under way
is left alone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from django_govuk_notify_outbox import claims, conf, tasks, transitions
from django_govuk_notify_outbox.events import Kind
from django_govuk_notify_outbox.models import EmailMessage, email_rows
from django_govuk_notify_outbox.moments import CLOCK_TOLERANCE, seconds_since
from django_govuk_notify_outbox.statuses import TO_SEND, TO_TRACK, Status

#: Seconds after Notify took an email for which it is not sent again. By then what Notify has of the first time is told
#: from what it gets the second time, whatever the clocks say.
PAUSE_BEFORE_SENDING_AGAIN = 2 * CLOCK_TOLERANCE


class Operation(enum.StrEnum):
    """What can be done to an email by hand."""

    SEND_AGAIN = "send-again"
    CHECK = "check"
    STOP = "stop"


@dataclass(frozen=True)
class Prospect:
    """What an operation would do to an email, or why it would do nothing."""

    will_act: bool
    #: One or two sentences, without anything personal.
    text: str


@dataclass(frozen=True)
class Result:
    """What an operation did to an email, or why it did nothing."""

    pk: int
    is_done: bool
    #: One or two sentences, without anything personal.
    text: str


def prospect(operation: Operation, email: EmailMessage) -> Prospect:
    """What the operation would do to the email as it is now. It reads and changes nothing."""
    try:
        return _PROSPECTS[operation](email)
    except ImproperlyConfigured as error:
        # It names the setting alone. Whoever looks why nothing goes out is not to be kept from it by that
        return _no(str(error))


def perform(operation: Operation, pks: Iterable[int], *, person: str) -> list[Result]:
    """Do it to each of these emails for which it makes sense, and say what was done and what was not, and why.

    Whatever is done is in the email's history, with the person's name.
    """
    wanted = list(dict.fromkeys(pks))
    # In one order, whoever acts: in transactions, two people at the same emails would wait for each other in a ring
    done = {pk: _perform(operation, pk, person) for pk in sorted(wanted)}
    results = [done[pk] for pk in wanted]
    if operation is Operation.SEND_AGAIN:
        # What is to be asked, sync asks within seconds
        tasks.push_on_commit([result.pk for result in results if result.is_done])
    return results


def _perform(operation: Operation, pk: int, person: str) -> Result:
    email = email_rows().without_contents().filter(pk=pk).first()
    if email is None:
        return Result(pk, is_done=False, text="There is no such email.")
    expected = prospect(operation, email)
    if not expected.will_act:
        return Result(pk, is_done=False, text=expected.text)
    if not _ACTS[operation](email, person):
        return Result(pk, is_done=False, text="It has just changed. Look at it again.")
    return Result(pk, is_done=True, text=expected.text)


# --- Send again ---------------------------------------------------------------------------------------------------


def _sending_again(email: EmailMessage) -> Prospect:
    if _is_under_way(email):
        return _no("An attempt to send it is under way, or has just been. Try again in a minute or two.")
    if email.status in TO_SEND and email.unclear_until is not None:
        if conf.retry_interval(email.attempts) is None:
            return _yes("Notify is asked whether it has it. If not, it has failed, and can be sent again then.")
        return _yes("Notify is asked whether it has it. Only if not, it is sent.")
    if email.status in TO_SEND:
        return _yes("It is tried at once instead of waiting.")
    if email.status == Status.FAILED_SEND_TO_NOTIFY:
        return _yes("It is sent again, with all its retries.")
    if email.status in TO_TRACK:
        return _no("Notify has it, and has not said that it failed.")
    if email.status == Status.NOTIFY_DELIVERED:
        return _no("It was delivered.")
    if email.status == Status.NOTIFY_PERMANENT_FAILURE:
        return _no("Its address probably does not exist. Correct it where it comes from, and have a new email sent.")
    if email.sent_at is not None and seconds_since(email.sent_at) < PAUSE_BEFORE_SENDING_AGAIN:
        return _no("Notify has only just taken it. Try again in two minutes.")
    return _yes("It is sent again, with all its retries. To Notify it is a new email.")


def _send_again(email: EmailMessage, person: str) -> bool:
    if email.status not in TO_SEND:
        return transitions.start_anew(email, person)
    return transitions.bring_forward(email, Kind.SENT_AGAIN, person)


# --- Check --------------------------------------------------------------------------------------------------------


def _checking(email: EmailMessage) -> Prospect:
    if email.status in TO_TRACK:
        return _yes("Notify is asked what became of it, within seconds.")
    if email.status not in TO_SEND:
        return _no("What became of it is known.")
    if email.unclear_until is None:
        return _no("Notify does not have it yet.")
    if _is_under_way(email):
        return _no("An attempt to send it is under way, or has just been. Try again in a minute or two.")
    return _yes("Notify is asked whether it has it.")


def _check(email: EmailMessage, person: str) -> bool:
    return transitions.bring_forward(email, Kind.CHECKED, person)


# --- Stop ---------------------------------------------------------------------------------------------------------


def _stopping(email: EmailMessage) -> Prospect:
    if email.status == Status.FAILED_SEND_TO_NOTIFY:
        return _no("It is not being sent any more.")
    if email.status not in TO_SEND:
        return _no("Notify has it, and takes nothing back.")
    if email.is_stopped:
        return _no("It was stopped before.")
    if _is_under_way(email):
        return _yes("An attempt to send it is under way, or has just been, and may reach Notify. No other begins.")
    if email.unclear_until is not None:
        return _yes("Notify may have it already, and is asked. If not, it is not sent.")
    return _yes("It will not be sent.")


# --- All ----------------------------------------------------------------------------------------------------------


def _is_under_way(email: EmailMessage) -> bool:
    """Whether a request of the last attempt may not have ended yet."""
    if email.status not in TO_SEND or email.unclear_until is None or email.attempt_started_at is None:
        return False
    return seconds_since(email.attempt_started_at) < claims.lease_seconds()


def _yes(text: str) -> Prospect:
    return Prospect(will_act=True, text=text)


def _no(text: str) -> Prospect:
    return Prospect(will_act=False, text=text)


_PROSPECTS: dict[Operation, Callable[[EmailMessage], Prospect]] = {
    Operation.SEND_AGAIN: _sending_again,
    Operation.CHECK: _checking,
    Operation.STOP: _stopping,
}
_ACTS: dict[Operation, Callable[[EmailMessage, str], bool]] = {
    Operation.SEND_AGAIN: _send_again,
    Operation.CHECK: _check,
    Operation.STOP: transitions.stop,
}

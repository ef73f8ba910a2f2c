"""Plain words for what happened to an email and what happens next: for the admin, and for anybody else who shows it.

Sentences may quote Notify's error message, which may quote the email: they are for people, not for logs.
"""

from __future__ import annotations

from django.utils import timezone

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, Status

_Kind = EmailMessageEvent.Kind
_Outcome = EmailMessageEvent.Outcome

_ATTEMPTS = {
    _Outcome.ACCEPTED: "Notify accepted it",
    _Outcome.ACCEPTED_AGAIN: "Notify accepted it once more, so the recipient may get it twice",
    _Outcome.REFUSED: "Notify refused it",
    _Outcome.TRY_LATER: "Notify did not take it",
    _Outcome.LIMITED: "Notify's limit was reached; the attempt does not count",
    _Outcome.UNCLEAR: "no clear answer, so Notify may have it",
}
_QUESTIONS = {
    _Outcome.FOUND: "Asked Notify and found it there, so it was not sent again",
    _Outcome.NOT_FOUND: "Asked Notify, which does not have it",
    _Outcome.NOT_FOUND_YET: "Asked Notify, which does not have it yet",
    _Outcome.NO_ANSWER: "Asked Notify and got no answer",
}
_REPORTS = {
    Status.NOTIFY_CREATED: "Notify has it in its queue",
    Status.NOTIFY_SENDING: "Notify is sending it",
    Status.NOTIFY_DELIVERED: "Notify delivered it",
    Status.NOTIFY_TEMPORARY_FAILURE: "Notify could not deliver it: the recipient's mail server was not able to take it",
    Status.NOTIFY_TECHNICAL_FAILURE: "Notify could not send it: something went wrong at Notify or its provider",
    Status.NOTIFY_PERMANENT_FAILURE: "Notify could not deliver it: the address probably does not exist",
}


_WISHES = {_Kind.SENT_AGAIN, _Kind.CHECKED, _Kind.STOPPED}


def describe(event: EmailMessageEvent, *, reason: str | None = None) -> str:
    """One sentence that says what the event was, and the reason, which is its message unless another is given."""
    try:
        said = _said(event)
    except (KeyError, ValueError):
        # A newer version wrote it, while both are at work or before somebody went back to this one
        said = "Something that this version does not know"
    reason = (event.message if reason is None else reason).rstrip(".")
    return f"{said}. {reason}." if reason else f"{said}."


def _said(event: EmailMessageEvent) -> str:
    kind = _Kind(event.kind)
    if kind == _Kind.ATTEMPT:
        return f"Attempt {event.attempt}: {_ATTEMPTS[_Outcome(event.outcome)]}"
    if kind == _Kind.QUESTION:
        return _QUESTIONS[_Outcome(event.outcome)]
    if kind == _Kind.REPORT:
        return _report(event)
    return _wish(event) if kind in _WISHES else "Abandoned: it was not sent in time"


def next_step(email: EmailMessage) -> str:
    """What happens next, without saying when: that is ``due_at``."""
    if email.due_at is None:
        return "Nothing: this is final" if email.status in FINAL else "Nothing: Notify cannot have news any more"
    if email.status not in TO_SEND:
        return "Ask Notify what became of it"
    if email.unclear_until is not None:
        question = "Ask Notify whether it has it"
        return f"{question}. If not, it is not sent, since it was stopped" if email.is_stopped else question
    if email.is_stopped:
        return "Give it up, since it was stopped"
    return "Send it to Notify"


def is_overdue(email: EmailMessage) -> bool:
    """Whether the next step should have been taken by now."""
    return email.due_at is not None and email.due_at <= timezone.now()


def passed(seconds: float) -> str:
    """How much time that is, as people say it."""
    if seconds < 1:
        return "less than a second"
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            smaller = {"day": ("hour", 3600), "hour": ("minute", 60), "minute": ("second", 1)}[name]
            part = rest // smaller[1]
            return f"{_number(whole, name)} {_number(part, smaller[0])}" if part else _number(whole, name)
    return _number(int(seconds), "second")


def _number(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def mood(status: str) -> str:
    """Which colour goes with a status: good, bad, worrying, waiting or under-way. Words always go with it too."""
    if status == Status.NOTIFY_DELIVERED:
        return "good"
    if status in FINAL:
        return "bad"
    if status == Status.RETRYING_SEND_TO_NOTIFY:
        return "worrying"
    return "waiting" if status in TO_SEND else "under-way"


def mood_of_event(event: EmailMessageEvent) -> str:
    """Which colour goes with an event."""
    is_worrying = bool(event.exception) and event.status not in FINAL
    return "worrying" if is_worrying or event.outcome == _Outcome.ACCEPTED_AGAIN else mood(event.status)


def _wish(event: EmailMessageEvent) -> str:
    if event.kind == _Kind.CHECKED:
        return f"{event.person} had Notify asked about it"
    if event.kind == _Kind.SENT_AGAIN:
        again = event.previous_status != event.status
        before = f". Notify knew it as {event.former_notify_id}" if event.former_notify_id else ""
        return f"{event.person} had it sent again{before}" if again else f"{event.person} had it tried at once"
    if not event.person:
        return "Not sent any more, since it was stopped"
    if event.status in TO_SEND:
        return f"{event.person} stopped it. Notify is asked first whether it has it already"
    return f"{event.person} stopped it, so it is not sent"


def _report(event: EmailMessageEvent) -> str:
    if event.outcome == _Outcome.FOUND:
        known = _REPORTS.get(Status(event.status), "Notify has it")
        return f"{known}. Learnt from a delivery receipt, without an answer to the attempt"
    if event.status == event.previous_status:
        return f"Notify says “{event.notify_status}”, which this version does not know"
    return _REPORTS[Status(event.status)]

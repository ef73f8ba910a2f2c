"""Everything that can happen has a sentence of its own."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, TO_TRACK, Status

Kind, Outcome = EmailMessageEvent.Kind, EmailMessageEvent.Outcome

ATTEMPTS = {
    "accepted": "Attempt 2: Notify accepted it.",
    "accepted-again": "Attempt 2: Notify accepted it once more, so the recipient may get it twice.",
    "refused": "Attempt 2: Notify refused it.",
    "try-later": "Attempt 2: Notify did not take it.",
    "limited": "Attempt 2: Notify's limit was reached; the attempt does not count.",
    "unclear": "Attempt 2: no clear answer, so Notify may have it.",
}
QUESTIONS = {
    "found": "Asked Notify and found it there, so it was not sent again.",
    "not-found": "Asked Notify, which does not have it.",
    "not-found-yet": "Asked Notify, which does not have it yet.",
    "no-answer": "Asked Notify and got no answer.",
}
REPORTS = {
    "notify-created": "Notify has it in its queue.",
    "notify-sending": "Notify is sending it.",
    "notify-delivered": "Notify delivered it.",
    "notify-temporary-failure": "Notify could not deliver it: the recipient's mail server was not able to take it.",
    "notify-technical-failure": "Notify could not send it: something went wrong at Notify or its provider.",
    "notify-permanent-failure": "Notify could not deliver it: the address probably does not exist.",
}
LEARNT = "Learnt from a delivery receipt, without an answer to the attempt."


def event(kind: str, outcome: str = "", **values: object) -> EmailMessageEvent:
    known = {"previous_status": Status.SENT_TO_NOTIFY, "status": Status.SENT_TO_NOTIFY, "attempt": 2}
    return EmailMessageEvent(kind=kind, outcome=outcome, **{**known, **values})


@pytest.mark.parametrize(
    ("happening", "sentence"),
    [
        *((event("attempt", outcome), sentence) for outcome, sentence in ATTEMPTS.items()),
        *((event("question", outcome), sentence) for outcome, sentence in QUESTIONS.items()),
        *((event("report", status=status), sentence) for status, sentence in REPORTS.items()),
        (event("report", notify_status="new"), "Notify says “new”, which this version does not know."),
        (event("report", "found", status=Status.NOTIFY_DELIVERED), f"Notify delivered it. {LEARNT}"),
        (event("report", "found", notify_status="new"), f"Notify has it. {LEARNT}"),
        (event("abandoned"), "Abandoned: it was not sent in time."),
        (event("checked", person="ann"), "ann had Notify asked about it."),
        (
            event("sent-again", person="ann", previous_status=Status.FAILED_SEND_TO_NOTIFY),
            "ann had it sent again.",
        ),
        (event("sent-again", person="ann"), "ann had it tried at once."),
        (event("stopped", person="ann", status=Status.FAILED_SEND_TO_NOTIFY), "ann stopped it, so it is not sent."),
        (
            event("stopped", person="ann", status=Status.RETRYING_SEND_TO_NOTIFY),
            "ann stopped it. Notify is asked first whether it has it already.",
        ),
        (event("stopped", status=Status.FAILED_SEND_TO_NOTIFY), "Not sent any more, since it was stopped."),
        (
            event("attempt", "refused", message="Missing personalisation: name"),
            "Attempt 2: Notify refused it. Missing personalisation: name.",
        ),
        (
            event("attempt", "try-later", message="No connection could be made."),
            "Attempt 2: Notify did not take it. No connection could be made.",
        ),
    ],
)
def test_every_event_has_a_sentence(happening: EmailMessageEvent, sentence: str) -> None:
    assert wording.describe(happening) == sentence


def test_no_outcome_is_without_words() -> None:
    assert sorted([*ATTEMPTS, *QUESTIONS]) == sorted(Outcome.values)
    assert sorted(Kind.values) == ["abandoned", "attempt", "checked", "question", "report", "sent-again", "stopped"]


@pytest.mark.parametrize("status", Status)
def test_the_next_step_of_every_status_is_told(status: Status) -> None:
    due = EmailMessage(status=status, due_at=timezone.now())
    if status in TO_SEND:
        assert wording.next_step(due) == "Send it to Notify"
        due.unclear_until = timezone.now()
        assert wording.next_step(due) == "Ask Notify whether it has it"
        due.is_stopped = True
        assert wording.next_step(due) == ("Ask Notify whether it has it. If not, it is not sent, since it was stopped")
        due.unclear_until = None
        assert wording.next_step(due) == "Give it up, since it was stopped"
    elif status in TO_TRACK:
        assert wording.next_step(due) == "Ask Notify what became of it"
        assert wording.next_step(EmailMessage(status=status)) == "Nothing: Notify cannot have news any more"
    else:
        assert status in FINAL
        assert wording.next_step(EmailMessage(status=status)) == "Nothing: this is final"


def test_overdue_is_what_should_have_been_done_by_now() -> None:
    now = timezone.now()
    assert wording.is_overdue(EmailMessage(due_at=now))
    assert not wording.is_overdue(EmailMessage(due_at=now + dt.timedelta(minutes=1)))
    assert not wording.is_overdue(EmailMessage(due_at=None))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "novel"},
        {"kind": "attempt", "outcome": "novel"},
        {"kind": "question", "outcome": "novel"},
        {"kind": "report", "status": "novel"},
        {"kind": "report", "status": "novel", "outcome": "found"},
        {"kind": "report", "status": "sent-to-notify"},
    ],
    ids=str,
)
def test_what_a_newer_version_wrote_is_not_taken_for_something_else(values: dict[str, str]) -> None:
    event = EmailMessageEvent(**{"status": "sending-to-notify", "previous_status": "retrying-send-to-notify"} | values)
    assert wording.describe(event) == "Something that this version does not know."
    event.message = "Notify said so"
    assert wording.describe(event) == "Something that this version does not know. Notify said so."

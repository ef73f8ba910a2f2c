"""What the person who booked is told about an email. They have never heard of Notify."""

from __future__ import annotations

from typing import NamedTuple

from django_govuk_notify_outbox.models import EmailMessage

Status = EmailMessage.Status


class Words(NamedTuple):
    """A status for people: a word on a coloured tag, and a sentence that says what it means for them."""

    tag: str
    colour: str
    sentence: str


_ON_ITS_WAY = Words("On its way", "turquoise", "It’s on its way to your inbox.")

WORDS: dict[str, Words] = {
    Status.SENDING_TO_NOTIFY: Words("Sending", "blue", "We’re sending it now."),
    Status.RETRYING_SEND_TO_NOTIFY: Words(
        "Delayed", "yellow", "This is taking longer than usual. We’re still trying: you do not need to do anything."
    ),
    Status.FAILED_SEND_TO_NOTIFY: Words(
        "Not sent", "red", "We could not send it. Check the email address, or make a note of your reference."
    ),
    Status.SENT_TO_NOTIFY: _ON_ITS_WAY,
    Status.NOTIFY_CREATED: _ON_ITS_WAY,
    Status.NOTIFY_SENDING: _ON_ITS_WAY,
    Status.NOTIFY_DELIVERED: Words(
        "Delivered", "green", "It has arrived. If you cannot see it, look in your spam or junk folder."
    ),
    Status.NOTIFY_TEMPORARY_FAILURE: Words(
        "Not delivered", "orange", "Your mailbox could not take it. It may be full: try again later."
    ),
    Status.NOTIFY_TECHNICAL_FAILURE: Words(
        "Not delivered", "orange", "Something went wrong on our side. Your appointment is still booked."
    ),
    Status.NOTIFY_PERMANENT_FAILURE: Words(
        "Not delivered", "red", "The email address does not seem to exist. Check it for typing mistakes."
    ),
}

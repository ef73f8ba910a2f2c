"""The ten statuses of an email, and which follow which."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """Where an email stands.

    ::

        sending-to-notify ──► retrying-send-to-notify ──► failed-send-to-notify
                └───────────────┬──────┘                        ┊ a late acceptance
                                ▼                               ▼
                          sent-to-notify ──► notify-created ──► notify-sending ──► notify-delivered
                                                                         └───────► notify-…-failure

    Steps to the right of ``sent-to-notify`` may be skipped; nothing goes back, unless a person has an email sent again.
    """

    #: Stored; not yet accepted by Notify; no attempt has failed.
    SENDING_TO_NOTIFY = "sending-to-notify", _("Sending to Notify")
    #: At least one attempt to hand it to Notify failed; another will follow.
    RETRYING_SEND_TO_NOTIFY = "retrying-send-to-notify", _("Retrying send to Notify")
    #: Notify refused it, or the retries or the time for them ran out. Notify does not have it.
    FAILED_SEND_TO_NOTIFY = "failed-send-to-notify", _("Failed to send to Notify")
    #: Notify has accepted it and has not been asked about it since.
    SENT_TO_NOTIFY = "sent-to-notify", _("Sent to Notify")
    #: Notify has it in its queue.
    NOTIFY_CREATED = "notify-created", _("Notify: created")
    #: Notify has handed it to its email provider.
    NOTIFY_SENDING = "notify-sending", _("Notify: sending")
    #: The recipient's mail server took it.
    NOTIFY_DELIVERED = "notify-delivered", _("Notify: delivered")
    #: The recipient's mail server could not take it: mailbox full, or no answer for three days.
    NOTIFY_TEMPORARY_FAILURE = "notify-temporary-failure", _("Notify: temporary failure")
    #: Something went wrong between Notify and its email provider.
    NOTIFY_TECHNICAL_FAILURE = "notify-technical-failure", _("Notify: technical failure")
    #: The recipient's mail server refused it: the address probably does not exist.
    NOTIFY_PERMANENT_FAILURE = "notify-permanent-failure", _("Notify: permanent failure")


#: Notify does not have these yet, as far as we know; they may be sent.
TO_SEND = frozenset({Status.SENDING_TO_NOTIFY, Status.RETRYING_SEND_TO_NOTIFY})
#: Notify has these and has yet to report their fate; they are looked up.
TO_TRACK = frozenset({Status.SENT_TO_NOTIFY, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING})
#: Nothing happens to these any more.
FINAL = frozenset(Status) - TO_SEND - TO_TRACK

#: Notify had these and could not deliver them.
FAILED_AT_NOTIFY = frozenset(
    {Status.NOTIFY_TEMPORARY_FAILURE, Status.NOTIFY_TECHNICAL_FAILURE, Status.NOTIFY_PERMANENT_FAILURE}
)
#: Notify does not have these, or has given them up for a reason that may pass: a person may have them sent again.
SENDABLE_AGAIN = frozenset(
    {Status.FAILED_SEND_TO_NOTIFY, Status.NOTIFY_TEMPORARY_FAILURE, Status.NOTIFY_TECHNICAL_FAILURE}
)

#: Notify's words for what happened to an email, and ours. From its API documentation and its source.
FROM_NOTIFY = {
    "created": Status.NOTIFY_CREATED,
    "sending": Status.NOTIFY_SENDING,
    "delivered": Status.NOTIFY_DELIVERED,
    "temporary-failure": Status.NOTIFY_TEMPORARY_FAILURE,
    "technical-failure": Status.NOTIFY_TECHNICAL_FAILURE,
    "permanent-failure": Status.NOTIFY_PERMANENT_FAILURE,
}


def is_forward(before: str, after: Status) -> bool:
    """Whether news that Notify now says ``after`` is a step forward for an email that it has accepted.

    A page fetched before the email was delivered must not turn "delivered" back into "sending".
    """
    steps = (Status.SENT_TO_NOTIFY, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING)
    if before not in steps:
        return False
    return after in FINAL or steps.index(after) > steps.index(Status(before))

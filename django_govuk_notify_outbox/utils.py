"""The call that takes the place of ``NotificationsAPIClient.send_email_notification``."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from django_govuk_notify_outbox import tasks, validation
from django_govuk_notify_outbox.models import (
    MAX_ADDRESS_LENGTH,
    MAX_ID_LENGTH,
    MAX_REFERENCE_LENGTH,
    MAX_URL_LENGTH,
    EmailMessage,
    digest,
    new_reference,
    normalise_address,
)

#: Seconds that the task sent on commit has for itself before sync takes a new email to be forgotten.
PUSH_HEAD_START = 5.0


def send_email_notification(
    email_address: str,
    template_id: str | uuid.UUID,
    personalisation: Mapping[str, Any] | None = None,
    reference: str | None = None,
    email_reply_to_id: str | uuid.UUID | None = None,
    one_click_unsubscribe_url: str | None = None,
    sanitise_content_for: list[str] | None = None,
) -> EmailMessage:
    """Store an email in the current transaction, to be sent once that commits, and return its row.

    The parameters are those of ``NotificationsAPIClient.send_email_notification`` in GOV.UK Notify's Python client, in
    the same order with the same defaults. Template and reply-to ids may also be UUIDs, and texts may be lazy
    translations, which are translated now. Without a ``reference`` the row gets one of its own.

    If the transaction rolls back, nothing is sent. Outside a transaction the email is sent at once. Neither Notify nor
    the broker can make this call fail: what Notify would refuse (an invalid address, an unknown template) is stored
    all the same, and shown as failed once Notify has refused it.

    Raises TypeError or ValueError, naming the argument, before the database is touched, for what cannot be stored or
    sent: values that JSON has no form for, NUL characters, halves of surrogate pairs, texts longer than their columns.
    """
    address = validation.required_text("email_address", email_address, max_length=MAX_ADDRESS_LENGTH)
    reference = validation.text("reference", reference, max_length=MAX_REFERENCE_LENGTH) or new_reference()
    now = timezone.now()
    email = EmailMessage(
        email_address=address,
        address_digest=digest(normalise_address(address)),
        template_id=validation.required_text(
            "template_id", validation.without_uuid(template_id), max_length=MAX_ID_LENGTH
        ),
        personalisation=validation.json_value("personalisation", personalisation),
        reference=reference,
        reference_digest=digest(reference),
        email_reply_to_id=validation.text(
            "email_reply_to_id", validation.without_uuid(email_reply_to_id), max_length=MAX_ID_LENGTH
        ),
        one_click_unsubscribe_url=validation.text(
            "one_click_unsubscribe_url", one_click_unsubscribe_url, max_length=MAX_URL_LENGTH
        ),
        sanitise_content_for=validation.json_value("sanitise_content_for", sanitise_content_for),
        created_at=now,
        status_changed_at=now,
        due_at=now + timedelta(seconds=PUSH_HEAD_START),
    )
    email.save(force_insert=True)

    # A function, not a partial: see Note [Why the push is a function] in tasks.py
    def push() -> None:
        tasks.push(email.pk)

    database = email._state.db  # noqa: SLF001  # the name that Django documents
    # With autocommit turned off nobody tells when the caller commits: sync sends the email then
    with contextlib.suppress(transaction.TransactionManagementError):
        transaction.on_commit(push, using=database, robust=True)
    return email

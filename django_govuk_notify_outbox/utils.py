"""The calls that take the place of ``NotificationsAPIClient.send_email_notification``: for one email, and for many."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from django_govuk_notify_outbox import tasks, validation
from django_govuk_notify_outbox.models import (
    EmailMessage,
    digest,
    email_rows,
    new_reference,
    normalise_address,
    write_database,
)

#: Seconds that the task sent on commit has for itself before sync takes a new email to be forgotten.
PUSH_HEAD_START = 5.0
#: Rows in one INSERT, and about how many bytes of them. Escaped for the statement they may be twice as many, which is
#: well below the greatest that MariaDB takes by default, 16 MB.
INSERT_BATCH = 500
INSERT_BYTES = 4_000_000


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
    arguments = validation.storable(
        {
            "email_address": email_address,
            "template_id": template_id,
            "personalisation": personalisation,
            "reference": reference,
            "email_reply_to_id": email_reply_to_id,
            "one_click_unsubscribe_url": one_click_unsubscribe_url,
            "sanitise_content_for": sanitise_content_for,
        }
    )
    email = _row(arguments, timezone.now())
    email.save(force_insert=True)
    tasks.push_on_commit([email.pk])
    return email


def send_email_notifications(
    emails: Iterable[Mapping[str, Any]],
    *,
    template_id: str | uuid.UUID | None = None,
    personalisation: Mapping[str, Any] | None = None,
    reference: str | None = None,
    email_reply_to_id: str | uuid.UUID | None = None,
    one_click_unsubscribe_url: str | None = None,
    sanitise_content_for: list[str] | None = None,
) -> list[EmailMessage]:
    """Store emails, all or none, in the current transaction, to be sent once that commits; their rows, in order.

    Each of ``emails`` is a mapping of arguments of ``send_email_notification``, by their names. An argument that is the
    same for all may be given once, beside them. Where an email has the argument too, its own stands, and it alone: the
    two are not merged. So this stores, and later sends, what the following would::

        for_all = {"template_id": template_id, "personalisation": personalisation, ...}
        rows = [send_email_notification(**{**for_all, **email}) for email in emails]

    It does so in a few statements and messages, whatever their number. A ``reference`` given for all is shared by all;
    without one each row gets its own.

    What is promised for one email is promised for each. Raises the same exceptions, before the database is touched,
    which name the email's position too, as in "emails[3]: email_address must be a string, not None."

    The signals ``pre_save`` and ``post_save`` are not sent, except on MySQL, where rows are saved one by one.
    """
    for_all = validation.storable(
        {
            **({} if template_id is None else {"template_id": template_id}),
            "personalisation": personalisation,
            "reference": reference,
            "email_reply_to_id": email_reply_to_id,
            "one_click_unsubscribe_url": one_click_unsubscribe_url,
            "sanitise_content_for": sanitise_content_for,
        }
    )
    now = timezone.now()
    rows = [_row(arguments, now) for arguments in validation.storable_emails(emails, for_all)]
    if rows:
        _insert(rows)
        tasks.push_on_commit([row.pk for row in rows])
    return rows


def _row(arguments: Mapping[str, Any], now: dt.datetime) -> EmailMessage:
    """A new email, not yet saved, with arguments that have been checked."""
    reference = arguments["reference"] or new_reference()
    return EmailMessage(
        **{**arguments, "reference": reference},
        address_digest=digest(normalise_address(arguments["email_address"])),
        reference_digest=digest(reference),
        created_at=now,
        requested_at=now,
        status_changed_at=now,
        due_at=now + dt.timedelta(seconds=PUSH_HEAD_START),
    )


def _insert(rows: list[EmailMessage]) -> None:
    """Save new rows, all or none, and let them know their numbers."""
    database = write_database()
    with transaction.atomic(using=database):
        if connections[database].features.can_return_rows_from_bulk_insert:
            for batch in _batches(rows):
                email_rows().bulk_create(batch)
        else:
            for row in rows:
                row.save(force_insert=True, using=database)


def _batches(rows: list[EmailMessage]) -> Iterator[list[EmailMessage]]:
    """The rows, so many at a time as one statement may insert."""
    batch: list[EmailMessage] = []
    room = INSERT_BYTES
    for row in rows:
        # What is sent is all of a row that may be large, and JSON is the form in which most of it is stored
        size = len(json.dumps(row.payload()))
        if batch and (len(batch) == INSERT_BATCH or size > room):
            yield batch
            batch, room = [], INSERT_BYTES
        batch.append(row)
        room -= size
    yield batch

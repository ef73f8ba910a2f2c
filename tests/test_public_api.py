"""What users import, with the types that they see. Checked by mypy --strict, and run."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import assert_type

import pytest

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, EmailMessageQuerySet
from django_govuk_notify_outbox.tasks import sync
from django_govuk_notify_outbox.utils import send_email_notification, send_email_notifications


@pytest.mark.django_db
def test_the_public_names_have_the_types_that_users_rely_on() -> None:
    email = send_email_notification(
        "amala@example.com",
        uuid.uuid4(),
        {"name": "Amala", "list": ["a", "b"]},
        reference=None,
        email_reply_to_id=uuid.uuid4(),
        one_click_unsubscribe_url="https://example.gov.uk/unsubscribe",
        sanitise_content_for=["name"],
    )
    assert_type(email, EmailMessage)
    assert_type(email.status, str)
    assert_type(email.is_final, bool)
    assert_type(email.notify_id, uuid.UUID | None)
    assert_type(email.created_at, dt.datetime)
    assert_type(email.due_at, dt.datetime | None)
    assert_type(email.events.last(), EmailMessageEvent | None)
    assert_type(EmailMessage.objects.with_address("amala@example.com"), EmailMessageQuerySet)
    assert_type(EmailMessage.objects.with_reference(email.reference).to_send().count(), int)
    assert email.status == EmailMessage.Status.SENDING_TO_NOTIFY
    assert EmailMessage.objects.with_reference(email.reference).get() == email
    emails = send_email_notifications(
        [
            {"email_address": "amala@example.com"},
            {"email_address": "bela@example.com", "template_id": uuid.uuid4(), "personalisation": {"name": "Bela"}},
        ],
        template_id=uuid.uuid4(),
        personalisation={"name": "Amala"},
        sanitise_content_for=["name"],
    )
    assert_type(emails, list[EmailMessage])
    assert len(emails) == 2
    assert sync.name == "django_govuk_notify_outbox.tasks.sync"

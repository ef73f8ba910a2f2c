"""Addresses and personalisation are other people's data: they are in the database, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import checks, delivery, sync, tasks, wording
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import Clock, pushed
from tests.test_retrying import SERVER_ERROR
from tests.test_unclear import HTML

ADDRESS = "zaphod.beeblebrox@example.com"
SECRET = "reset-link-9f8e7d"
MARKS = ("zaphod", "beeblebrox", "9f8e7d")

#: Notify quotes what was sent in some of its error messages.
QUOTING = {"errors": [{"error": "ValidationError", "message": f"personalisation [{SECRET}] is not of type object"}]}

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "a quoting 400": {"status": 400, "body": QUOTING},
    "403": {"status": 403, "body": QUOTING},
    "429": {"status": 429, "body": QUOTING},
    "500": SERVER_ERROR,
    "502": {"status": 502, "body": HTML},
    "cut": {"cut": True},
    "accepted and cut": {"accept": True, "cut": True},
    "garbage": {"status": 201, "body": f"{ADDRESS} {SECRET}"},
    "redirect": {"status": 302, "location": "/v2/notifications"},
}


def new_email(**arguments: Any) -> EmailMessage:
    values = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "personalisation": {"name": SECRET}}
    return send_email_notification(**{**values, **arguments})


def assert_no_mark(text: str) -> None:
    for mark in MARKS:
        assert mark not in text.lower()


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All that any logger said, to the last attribute of its records."""
    caplog.set_level(logging.DEBUG)
    # The statements of Django's own debug log hold their parameters, and are off unless DEBUG is on
    logging.getLogger("django.db.backends").setLevel(logging.INFO)

    def text() -> str:
        formatter = logging.Formatter()
        return "\n".join(formatter.format(record) + repr(record.__dict__) for record in caplog.records)

    return text


@pytest.mark.django_db
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_failure_puts_anything_personal_into_logs_or_names(
    clock: Clock, sandbox: Sandbox, everything_logged: Callable[[], str], fault: dict[str, Any]
) -> None:
    if fault:
        sandbox.add_fault(**fault)
    email = new_email()
    delivery.deliver(email.pk)
    for _ in range(4):
        clock.move(60)
        sync.run()
    email.refresh_from_db()
    assert "Email" in everything_logged()
    assert_no_mark(everything_logged())
    assert_no_mark(f"{email} {email!r}")
    for event in email.events.all():
        assert_no_mark(f"{event} {event!r}")
    # It is not that there was nothing to find: people see it where they look for it
    if fault.get("body") is QUOTING:
        assert SECRET in wording.describe(email.events.earliest("pk"))


@pytest.mark.django_db
def test_unreachable_notify_and_malformed_key_put_nothing_personal_into_logs(
    clock: Clock, sandbox: Sandbox, everything_logged: Callable[[], str], settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    delivery.deliver(new_email().pk)
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = f"{SECRET} {ADDRESS}"
    clock.move(60)
    delivery.deliver(new_email().pk)
    assert_no_mark(everything_logged())
    # A key is a secret too
    assert [message.id for message in checks.check_settings(None)] == ["django_govuk_notify_outbox.E002"]
    assert_no_mark(repr(checks.check_settings(None)))


@pytest.mark.django_db(transaction=True)
def test_a_task_carries_the_rows_number_and_nothing_else(
    everything_logged: Callable[[], str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = new_email()
    [message] = pushed()
    assert message.payload[:2] == [[email.pk], {}]
    assert_no_mark(repr((message.payload, message.headers, message.properties)))
    settings.CELERY_BROKER_URL = "amqp://127.0.0.1:9//"
    monkeypatch.setattr(tasks, "_pusher", tasks._Pusher())
    new_email()
    assert "could not be pushed" in everything_logged()
    assert_no_mark(everything_logged())


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments",
    [
        {"email_address": ADDRESS + "\0"},
        {"email_address": ADDRESS * 20},
        {"email_address": ADDRESS.encode()},
        {"personalisation": {SECRET: SECRET + "\ud800"}},
        {"personalisation": {SECRET: {ADDRESS: object()}}},
        {"personalisation": {(SECRET,): ADDRESS}},
        {"one_click_unsubscribe_url": SECRET + "\0"},
    ],
)
def test_our_exceptions_quote_nothing_personal(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        new_email(**arguments)
    assert_no_mark(f"{raised.value} {raised.value!r} {raised.value.__cause__!r}")
    assert raised.value.__suppress_context__ or raised.value.__context__ is None

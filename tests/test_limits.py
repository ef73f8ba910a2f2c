"""429 and 403 are about the service, not the email: everybody is silent for a while, and no email suffers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import claims, delivery, holds, sync
from django_govuk_notify_outbox.models import EmailMessage, Hold
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock, MakeEmail
from tests.test_retrying import posts

pytestmark = pytest.mark.django_db


def error(status: int, error_type: str) -> dict[str, Any]:
    return {"status": status, "body": {"errors": [{"error": error_type, "message": "No"}], "status_code": status}}


@pytest.mark.parametrize("error_type", ["RateLimitError", "TooManyRequestsError"])
def test_a_limit_gives_the_attempt_back_and_stops_all_sending_for_a_while(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, error_type: str
) -> None:
    first, second = make_email(), make_email()
    sandbox.add_fault(**error(429, error_type))
    sync.run()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, first.attempts, first.unclear_until) == (Status.SENDING_TO_NOTIFY, 0, None)
    assert first.due_at == clock.now + dt.timedelta(seconds=holds.SENDING_HOLD)
    assert [event.outcome for event in first.events.all()] == ["limited"]
    assert second.events.count() == 0
    assert posts(sandbox) == 1


def test_nothing_is_sent_until_the_silence_is_over_and_then_all_goes_out(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    first, second = make_email(), make_email()
    sandbox.add_fault(**error(429, "RateLimitError"))
    sync.run()
    clock.move(holds.SENDING_HOLD - 1)
    sync.run()
    delivery.deliver(second.pk)
    assert posts(sandbox) == 1
    clock.move(1)
    sync.run()
    assert posts(sandbox) == 3
    assert list(EmailMessage.objects.order_by("pk").values_list("status", "attempts")) == [
        (Status.SENT_TO_NOTIFY, 1),
        (Status.SENT_TO_NOTIFY, 1),
    ]
    assert first.pk < second.pk


def test_a_run_stops_when_another_process_has_met_the_limit(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    email = make_email()
    holds.hold_sending()
    assert delivery.deliver(email.pk) is delivery.Progress.STOP
    clock.move(holds.SENDING_HOLD)
    assert delivery.deliver(email.pk) is delivery.Progress.GO_ON


def test_an_email_in_another_workers_hands_does_not_stop_a_run(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email()
    claim = claims.claim_attempt
    # The other worker is quicker between this one's reading and its claim
    monkeypatch.setattr(claims, "claim_attempt", lambda email: claim(email) and claim(email))
    assert delivery.deliver(email.pk) is delivery.Progress.GO_ON
    assert posts(sandbox) == 0


def test_limits_never_use_up_an_emails_retries(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    email = make_email()
    sandbox.add_fault(times=20, **error(429, "RateLimitError"))
    for _ in range(20):
        sync.run()
        clock.move(holds.SENDING_HOLD)
    sync.run()
    email.refresh_from_db()
    assert (email.status, email.attempts) == (Status.SENT_TO_NOTIFY, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_clock_or_address_that_is_wrong_is_retried_and_stops_all_sending_for_a_while(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, status: int
) -> None:
    first, second = make_email(), make_email()
    sandbox.add_fault(**error(status, "AuthError"))
    sync.run()
    first.refresh_from_db()
    assert (first.status, first.attempts) == (Status.RETRYING_SEND_TO_NOTIFY, 1)
    assert [event.outcome for event in first.events.all()] == ["try-later"]
    assert second.events.count() == 0
    assert posts(sandbox) == 1
    clock.move(holds.SENDING_HOLD)
    sync.run()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.SENT_TO_NOTIFY, Status.SENT_TO_NOTIFY)


def test_a_key_of_another_service_sends_nothing_until_it_is_put_right(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, settings: Settings
) -> None:
    email = make_email()
    key = settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = "x-" + defaults.SERVICE_ID + "-" + defaults.SERVICE_ID
    sync.run()
    event = email.events.get()
    assert (event.outcome, event.http_status, event.error_type) == ("try-later", 403, "AuthError")
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = key
    clock.move(10)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY


@pytest.mark.parametrize("key", [None, "", "short", "only-a-name"])
def test_a_missing_or_malformed_key_loses_no_email(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail, settings: Settings, key: str | None
) -> None:
    email = make_email()
    right_key = settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = key
    assert delivery.deliver(email.pk) is delivery.Progress.STOP
    event = email.events.get()
    assert (event.outcome, event.exception) == ("try-later", "django.core.exceptions.ImproperlyConfigured")
    assert "DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY" in event.message
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = right_key
    clock.move(10)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.SENT_TO_NOTIFY


def test_silence_is_kept_in_one_row_that_moves(clock: Clock) -> None:
    assert not holds.is_sending_held()
    holds.hold_sending()
    clock.move(1)
    until = holds.hold_sending()
    assert until == clock.now + dt.timedelta(seconds=holds.SENDING_HOLD)
    hold = Hold.objects.get()
    assert (hold.name, hold.until) == ("sending", until)
    assert str(hold) == "sending held until 2026-11-22 12:00:06"
    assert holds.is_sending_held()

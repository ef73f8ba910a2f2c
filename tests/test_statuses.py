"""Every one of the ten statuses, reached by causing it over HTTP."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, TO_TRACK, Status, is_forward
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock

pytestmark = pytest.mark.django_db


def history(email: EmailMessage) -> list[str]:
    """The statuses that the email has gone through, as its events tell them."""
    email.refresh_from_db()
    statuses = [Status.SENDING_TO_NOTIFY.value]
    for event in email.events.all():
        assert event.previous_status == statuses[-1]
        if event.status != statuses[-1]:
            statuses.append(event.status)
    assert statuses[-1] == email.status
    return statuses


def new_email(address: str = ADDRESS) -> EmailMessage:
    return send_email_notification(address, defaults.TEMPLATE_ID, {"name": "Amala"})


def test_a_new_email_is_sending_to_notify() -> None:
    assert history(new_email()) == ["sending-to-notify"]


def test_an_email_is_followed_through_every_step_to_its_delivery(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.set_timing(sending_after=8, final_after=20)
    email = new_email()
    delivery.deliver(email.pk)
    assert history(email) == ["sending-to-notify", "sent-to-notify"]
    clock.move(5)
    sync.run()
    assert history(email)[2:] == ["notify-created"]
    clock.move(10)
    sync.run()
    assert history(email)[3:] == ["notify-sending"]
    clock.move(30)
    sync.run()
    assert history(email)[4:] == ["notify-delivered"]
    assert (email.due_at, email.is_final) == (None, True)


def test_steps_may_be_skipped(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(60)
    sync.run()
    assert history(email) == ["sending-to-notify", "sent-to-notify", "notify-delivered"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("temp-fail@simulator.notify", "notify-temporary-failure"),
        ("perm-fail@simulator.notify", "notify-permanent-failure"),
        ("technical-fail@simulator.notify", "notify-technical-failure"),
    ],
)
def test_failures_at_notify_are_told_apart(clock: Clock, sandbox: Sandbox, address: str, status: str) -> None:
    email = new_email(address)
    delivery.deliver(email.pk)
    clock.move(60)
    sync.run()
    assert history(email) == ["sending-to-notify", "sent-to-notify", status]
    assert (email.due_at, email.is_final) == (None, True)


def test_an_email_that_notify_cannot_take_now_is_retried_and_then_failed(
    clock: Clock, sandbox: Sandbox, settings: Settings
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = [5]
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    email = new_email()
    delivery.deliver(email.pk)
    assert history(email) == ["sending-to-notify", "retrying-send-to-notify"]
    clock.move(5)
    sync.run()
    assert history(email)[2:] == ["failed-send-to-notify"]


def test_an_email_that_notify_refuses_has_failed_at_once(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email("not an address")
    delivery.deliver(email.pk)
    assert history(email) == ["sending-to-notify", "failed-send-to-notify"]


def test_each_status_is_either_to_send_or_to_track_or_final() -> None:
    assert sorted(status.value for status in Status) == [
        "failed-send-to-notify",
        "notify-created",
        "notify-delivered",
        "notify-permanent-failure",
        "notify-sending",
        "notify-technical-failure",
        "notify-temporary-failure",
        "retrying-send-to-notify",
        "sending-to-notify",
        "sent-to-notify",
    ]
    assert sum(map(len, (TO_SEND, TO_TRACK, FINAL))) == len(TO_SEND | TO_TRACK | FINAL) == len(Status)


@pytest.mark.parametrize("before", Status)
def test_no_status_is_a_step_forward_from_itself(before: Status) -> None:
    assert not is_forward(before, before)

"""The remote control, and the views behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from freezegun import freeze_time
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox.sandbox import control, defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox, SandboxError
from django_govuk_notify_outbox.sandbox.models import Allowance, ApiRequest, Fault, Notification, Receipt, SandboxState

from .conftest import ADDRESS, Api

urlpatterns = [path("sandbox/requests", lambda request: HttpResponse(status=404))]


def test_control_sees_and_changes_everything(live_server: LiveServer) -> None:
    sandbox = Sandbox(f"{live_server.url}/")
    api = Api(Client())
    sandbox.set_timing(sending_after=0, final_after=60)
    notification_id = api.send(reference="r", email_address=f" {ADDRESS}")
    sandbox.set_status(notification_id, "permanent-failure")

    (email,) = sandbox.emails()

    row = Notification.objects.get()
    assert email == {
        "id": notification_id,
        "email_address": ADDRESS,
        "template_id": defaults.PLAIN_TEMPLATE_ID,
        "reference": "r",
        "personalisation": {},
        "subject": "We received your application",
        "body": "Hello.\n\nWe received your application.",
        "status": "permanent-failure",
        "created_at": api.look_up(notification_id)["created_at"],
        "key_kind": "live",
        "request_body": row.request_body,
    }
    assert sandbox.requests() == [
        {"method": "POST", "path": "/v2/notifications/email", "query": "", "status": 201},
        {"method": "GET", "path": f"/v2/notifications/{notification_id}", "query": "", "status": 200},
    ]


def test_requests_that_are_refused_are_logged_too(api: Api) -> None:
    api.request("PUT", "/v2/notifications?a=b")
    api.get("/v2/nothing")
    api.request("POST", "/v2/notifications/email", "nonsense")

    assert api.asked("requests") == [
        {"method": "PUT", "path": "/v2/notifications", "query": "a=b", "status": 405},
        {"method": "GET", "path": "/v2/nothing", "query": "", "status": 404},
        {"method": "POST", "path": "/v2/notifications/email", "query": "", "status": 400},
    ]


def test_reset_leaves_only_the_timing(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)
    Api(Client()).send()
    sandbox.set_timing(sending_after=3, final_after=4)
    sandbox.set_clock(datetime(2026, 1, 1, tzinfo=UTC))
    sandbox.add_fault(status=500)

    sandbox.reset()

    assert sandbox.emails() == []
    assert sandbox.requests() == []
    assert not Fault.objects.exists()
    state = SandboxState.load()
    assert (state.frozen_at, state.sending_after, state.final_after) == (None, 3.0, 4.0)
    assert state.faults_waiting is False


def test_faults_are_cleared_and_nothing_else_is(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)
    api = Api(Client())
    notification_id = api.send()
    sandbox.add_fault(status=500, times=5)
    sandbox.add_fault(on="GET", cut=True)
    assert api.post().status_code == 500

    sandbox.clear_faults()

    assert not Fault.objects.exists()
    assert SandboxState.load().faults_waiting is False
    assert api.post().status_code == 201
    assert api.look_up(notification_id)["id"] == notification_id
    assert len(sandbox.emails()) == 2
    assert len(sandbox.requests()) == 4


def test_many_emails_are_added_at_times_of_their_own(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_BATCH", 2)
    sandbox = Sandbox(live_server.url)
    sandbox.set_limits(daily_limit=1)
    sandbox.set_callback(f"{live_server.url}/receipts")
    moments = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (22, 20, 21)]
    sandbox.set_clock(moments[0] + timedelta(seconds=1))
    email = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "personalisation": {"name": "Amala"}}

    ids = sandbox.add_emails({**email, "reference": str(number), "created_at": moment}
                             for number, moment in enumerate(moments))  # fmt: skip

    assert [(email["id"], email["reference"], email["created_at"], email["status"], email["key_kind"], email["subject"])
            for email in sandbox.emails()] == [
        (ids[0], "0", "2026-11-22T12:00:00.000000Z", "sending", "live", "Hello Amala"),
        (ids[1], "1", "2026-11-20T12:00:00.000000Z", "delivered", "live", "Hello Amala"),
        (ids[2], "2", "2026-11-21T12:00:00.000000Z", "delivered", "live", "Hello Amala"),
    ]  # fmt: skip
    with freeze_time(moments[0]):
        assert Api(Client()).listed() == [ids[0], ids[2], ids[1]]
        assert sandbox.receipts() == []
        assert len(sandbox.requests()) == 1
        assert Api(Client()).post().status_code == 201


def test_emails_that_notify_would_not_take_are_not_added(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    email = {"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID, "created_at": moment}

    with pytest.raises(SandboxError, match="Notify would refuse the email: email_address Not a valid email address"):
        sandbox.add_emails([email, email | {"email_address": "nobody"}])
    with pytest.raises(SandboxError, match="The moment has no time zone"):
        sandbox.add_emails([email | {"created_at": moment.replace(tzinfo=None)}])
    (simulated,) = sandbox.add_emails([email | {"email_address": "simulate-delivered@notifications.service.gov.uk"}])

    assert sandbox.emails() == []
    with pytest.raises(SandboxError, match="no email with the id"):
        sandbox.set_status(simulated, "delivered")


def test_mistakes_are_explained(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)

    with pytest.raises(SandboxError, match="The moment has no time zone"):
        sandbox.set_clock(datetime(2026, 1, 1))  # noqa: DTZ001  that's the point
    with pytest.raises(SandboxError, match="The times are numbers of seconds"):
        sandbox.set_timing(sending_after=-1, final_after=0)
    with pytest.raises(SandboxError, match="The times are numbers of seconds"):
        sandbox.set_timing(sending_after=0, final_after=0, final_spread=-1)
    missing = uuid4()
    with pytest.raises(SandboxError, match=f"no email with the id {missing}"):
        sandbox.set_status(missing, "delivered")
    notification_id = Api(Client()).send()
    with pytest.raises(SandboxError, match="The status is empty"):
        sandbox.set_status(notification_id, "")


def test_address_without_a_sandbox_is_told(live_server: LiveServer, settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__

    with pytest.raises(SandboxError, match="There is no sandbox at this address"):
        Sandbox(live_server.url).requests()


def test_wrong_method_changes_nothing(api: Api) -> None:
    api.send()

    response = api.client.get("/sandbox/reset")

    assert response.status_code == 405
    assert response.json() == {"error": "Use POST here."}
    assert len(api.asked("emails")) == 1


def test_state_is_read_in_one_statement_and_an_e_mail_costs_few(
    api: Api, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    api.send()

    # settings, token bucket read and taken from, savepoint, email, day's count, request, release
    with django_assert_num_queries(8):  # type: ignore[operator]
        api.send()
    api.control("limits", rate_limit=0, daily_limit=0)
    api.send()
    # settings, savepoint, email, request, release, and the day's count for whoever sets a limit later
    with django_assert_num_queries(6):  # type: ignore[operator]
        api.send()


@pytest.mark.django_db
def test_names_of_rows_hold_nothing_personal(api: Api) -> None:
    api.control("faults", status=500, email_address="someone@example.com")
    notification_id = api.send(reference="r", personalisation={"name": "Amala"})

    assert str(Notification.objects.get()) == notification_id
    assert str(Fault.objects.get()) == "POST fault, 1 left"
    Receipt.objects.create(notification_id=notification_id, attempts=1)
    assert str(Receipt.objects.get()) == f"receipt for {notification_id}, 1 attempts"
    day = f"{defaults.SERVICE_ID}:{datetime.now(UTC):%Y-%m-%d}"
    assert str(Allowance.objects.get(name=day)) == f"{day}: 1"
    assert str(ApiRequest.objects.get()) == "POST /v2/notifications/email: 201"
    assert str(SandboxState.load()) == "sandbox settings"

"""Things that go wrong on demand."""

from __future__ import annotations

import time
from typing import Any

import pytest
from freezegun import freeze_time
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTP503Error, InvalidResponse
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox.sandbox import defaults, faults
from django_govuk_notify_outbox.sandbox.control import Sandbox, SandboxError
from django_govuk_notify_outbox.sandbox.models import ApiRequest, Fault
from django_govuk_notify_outbox.sandbox.responses import CUT

from .conftest import ADDRESS, Api, messages_of


def _fault(api: Api, **values: Any) -> None:
    api.control("faults", **values)


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "content"),
    [
        (
            {"status": 500},
            500,
            "application/json",
            b'{"errors":[{"error":"OperationalError","message":"Internal server error"}],"status_code":500}\n',
        ),
        (
            {"status": 429},
            429,
            "application/json",
            (
                b'{"errors":[{"error":"RateLimitError",'
                b'"message":"Exceeded rate limit for key type LIVE of 3000 requests per 60 seconds"}],'
                b'"status_code":429}\n'
            ),
        ),
        (
            {"status": 503},
            503,
            "application/json",
            b'{"errors":[{"error":"InternalServerError","message":"Internal server error"}],"status_code":503}\n',
        ),
        ({"status": 502, "body": "<h1>Bad gateway</h1>"}, 502, "text/html", b"<h1>Bad gateway</h1>"),
        ({"body": {"message": None}}, 500, "application/json", b'{"message": null}'),
        ({"status": 201, "body": []}, 201, "application/json", b"[]"),
        ({"status": 201}, 201, "text/html", b""),
        ({"location": "https://example.com/"}, 302, "text/html", b""),
        ({"location": "https://example.com/", "status": 307}, 307, "text/html", b""),
    ],
)
@pytest.mark.parametrize("accept", [False, True])
def test_fault_answers_in_place_of_notify(
    api: Api, fault: dict[str, Any], status: int, content_type: str, content: bytes, *, accept: bool
) -> None:
    _fault(api, **fault, accept=accept)

    response = api.post()

    assert (response.status_code, response.headers["Content-Type"]) == (status, content_type)
    assert response.content == content
    assert response.headers.get("Location") == fault.get("location")
    assert len(api.asked("emails")) == int(accept)
    assert [request["status"] for request in api.asked("requests")] == [status]
    assert api.post().status_code == 201


def test_fault_answers_whoever_calls_and_whatever_is_sent(api: Api) -> None:
    _fault(api, status=500, times=2)

    for _ in range(2):
        assert api.request("POST", "/v2/notifications/email", "nonsense", Authorization="nobody").status_code == 500
    assert api.request("POST", "/v2/notifications/email", "nonsense", Authorization="nobody").status_code == 401


def test_fault_is_for_its_method(api: Api) -> None:
    _fault(api, on="GET", status=500)

    api.send()

    assert api.get("/v2/notifications").status_code == 500
    assert api.get("/v2/notifications").status_code == 200


@pytest.mark.parametrize("body", ["nonsense", "[]", "{}", '{"email_address": 5}', '{"email_address": "b@example.com"}'])
def test_fault_for_an_address_leaves_others_alone(api: Api, body: str) -> None:
    _fault(api, status=500, email_address=" A@Example.com")

    assert api.request("POST", "/v2/notifications/email", body).status_code == 400
    assert api.post(email_address="a@example.COM").status_code == 500
    assert api.post(email_address="a@example.COM").status_code == 201


def test_faults_are_played_in_the_order_in_which_they_were_added(api: Api) -> None:
    _fault(api, status=500)
    _fault(api, status=502)

    assert [api.post().status_code for _ in range(3)] == [500, 502, 201]


def test_last_use_of_a_fault_goes_to_one_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _fault(api, status=500)
    is_to = faults._is_to

    def used_up_meanwhile(address: str, body: bytes) -> bool:
        Fault.objects.update(remaining=0)
        return is_to(address, body)

    Fault.objects.update(
        rule=Fault.objects.get().rule.replace('"email_address": null', f'"email_address": "{ADDRESS}"')
    )
    monkeypatch.setattr(faults, "_is_to", used_up_meanwhile)

    assert api.post().status_code == 201


def test_hidden_e_mail_is_found_after_its_time(api: Api) -> None:
    _fault(api, hidden_for=3600)
    notification_id = api.send(reference="r")

    assert api.get(f"/v2/notifications/{notification_id}").status_code == 404
    assert api.listed("?reference=r") == []
    assert len(api.asked("emails")) == 1
    with freeze_time(tz_offset=0) as frozen:
        frozen.tick(3601)
        assert api.look_up(notification_id)["status"] == "delivered"
        assert api.listed("?reference=r") == [notification_id]


@pytest.mark.parametrize("accept", [False, True])
def test_delay_comes_before_or_after_the_e_mail_is_accepted(
    api: Api, monkeypatch: pytest.MonkeyPatch, *, accept: bool
) -> None:
    stored = []
    monkeypatch.setattr(time, "sleep", lambda seconds: stored.append((seconds, len(api.asked("emails")))))
    _fault(api, delay=0.25, accept=accept)

    api.send()

    assert stored == [(0.25, int(accept))]


def test_request_that_waits_is_logged_without_a_status(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.extend(api.asked("requests")))
    _fault(api, delay=1)

    api.get("/v2/notifications")
    api.send()

    expected = {"method": "POST", "path": "/v2/notifications/email", "query": ""}
    assert seen[1:] == [{**expected, "status": None}]
    assert api.asked("requests")[1:] == [{**expected, "status": 201}]


def test_reset_drops_a_request_that_waits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: api.control("reset"))
    _fault(api, delay=1)

    response = api.post()

    assert response.status_code == 500
    assert messages_of(response) == ["The sandbox was reset while this request waited."]
    assert api.asked("emails") == []
    assert api.asked("requests") == []


@pytest.mark.parametrize("accept", [False, True])
def test_connection_is_cut_where_the_server_can(api: Api, *, accept: bool) -> None:
    cut: list[int] = []
    environ: dict[str, Any] = api.client.defaults
    environ[CUT] = lambda: cut.append(ApiRequest.objects.count())
    _fault(api, cut=True, accept=accept)

    api.post()

    assert cut == [1]
    assert len(api.asked("emails")) == int(accept)
    assert [request["status"] for request in api.asked("requests")] == [None]


def test_server_that_cannot_cut_says_so(live_server: LiveServer) -> None:
    sandbox = Sandbox(live_server.url)
    sandbox.add_fault(cut=True, on="GET")
    client = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)

    with pytest.raises(HTTP503Error.__mro__[1], match="can't cut connections"):
        client.get_all_notifications()

    assert [request["status"] for request in sandbox.requests()] == [500]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"on": "PUT"}, '"on" is the method'),
        ({"times": 0}, '"times" is the number'),
        ({"delay": -1}, '"delay" is a number'),
        ({"delay": 601}, '"delay" is a number'),
        ({"status": 99}, '"status" is the HTTP status'),
        ({"status": 600}, '"status" is the HTTP status'),
    ],
)
def test_fault_that_cannot_be_played_is_refused(sandbox: Sandbox, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        sandbox.add_fault(**fault)


def test_client_sees_silence_garbage_and_redirects(sandbox: Sandbox) -> None:
    client = NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)

    def send() -> Any:
        return client.send_email_notification(ADDRESS, defaults.PLAIN_TEMPLATE_ID)

    sandbox.add_fault(cut=True, accept=True)
    with pytest.raises(HTTP503Error) as silence:
        send()
    assert silence.value.response is None
    sandbox.add_fault(status=201, body="<p>Hello</p>")
    with pytest.raises(InvalidResponse):
        send()
    sandbox.add_fault(status=302, location=f"{sandbox.base_url}/v2/notifications")
    assert len(send()["notifications"]) == 1
    assert "id" in send()
    assert [(request["method"], request["status"]) for request in sandbox.requests()] == [
        ("POST", None),
        ("POST", 201),
        ("POST", 302),
        ("GET", 200),
        ("POST", 201),
    ]

"""Pages of other sites, open in the same browser, can neither change the sandbox nor read it."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.models import Fault, Notification
from django_govuk_notify_outbox.sandbox.process import running_sandbox

from .conftest import Api

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://testserver:8080"},
    {"Origin": "null"},
]
OWN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://testserver"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_forms_of_other_sites_change_nothing(api: Api, headers: dict[str, str]) -> None:
    notification_id = api.send()
    api.control("faults", status=500)

    for path, data in {
        "/mailbox/empty": {},
        f"/mailbox/{notification_id}/status": {"status": "delivered"},
        "/mailbox/faults/": {"kind": "error", "times": "1", "on": "POST"},
        "/mailbox/faults/remove": {},
        "/mailbox/timing": {"hold": "yes"},
    }.items():
        response = api.client.post(path, data, headers=headers)
        assert (response.status_code, response.content) == (403, b"A page of another site can't change the sandbox.")
    for path in ("reset", "faults", "faults/clear", f"emails/{notification_id}/status"):
        # As a form may write it, without asking beforehand
        response = api.client.post(f"/sandbox/{path}", "{}", content_type="text/plain", headers=headers)
        assert (response.status_code, list(response.json())) == (403, ["error"])

    assert api.look_up(notification_id)["status"] == "created"
    assert Fault.objects.count() == 1


@pytest.mark.parametrize("headers", OWN)
def test_its_own_forms_and_programs_may_change_it(api: Api, headers: dict[str, str]) -> None:
    api.send()

    assert api.client.post("/mailbox/empty", headers=headers).status_code == 303
    assert api.client.post("/sandbox/reset", {}, content_type="application/json", headers=headers).status_code == 200
    assert not Notification.objects.exists()


def test_other_sites_may_link_to_the_mailbox(api: Api) -> None:
    assert api.client.get("/mailbox/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/mailbox/faults/", "/sandbox/emails"])
def test_name_that_another_site_made_lead_here_is_refused(sandbox: Sandbox, path: str) -> None:
    """Only the sandbox's own server knows its names."""
    statuses = {
        host: _status_of(sandbox.base_url, path, host)
        for host in ("evil.example", "localhost.evil.example:8020", "127.0.0.1:8020", "localhost", "notify.localhost")
    }

    assert statuses == {
        "evil.example": 403,
        "localhost.evil.example:8020": 403,
        "127.0.0.1:8020": 200,
        "localhost": 200,
        "notify.localhost": 200,
    }


def test_sandbox_that_listens_elsewhere_answers_to_every_name() -> None:
    with running_sandbox("--host", "0.0.0.0") as sandbox:
        port = urlsplit(sandbox.base_url).port
        assert _status_of(f"http://127.0.0.1:{port}", "/", "sandbox.internal") == 200


def test_project_answers_to_the_names_in_its_settings(api: Api, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["example.test"]
    client = Client(raise_request_exception=False)

    assert client.get("/mailbox/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/mailbox/", headers={"Host": "example.test"}).status_code == 200


def _status_of(base_url: str, path: str, host: str) -> int:
    address = urlsplit(base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", path, headers={"Host": host})
    with connection.getresponse() as response:
        response.read()
    connection.close()
    return response.status

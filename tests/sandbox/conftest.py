"""A caller of the sandbox's API within the process, and the service that recorded answers were made for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from notifications_python_client.authentication import create_jwt_token

from django_govuk_notify_outbox.sandbox import clock, defaults, services
from django_govuk_notify_outbox.sandbox.models import SandboxState
from django_govuk_notify_outbox.sandbox.services import Service

from . import accounts, recorded

ADDRESS = "amala@example.com"


def token(api_key: str) -> str:
    """Sign as Notify's client does."""
    return str(create_jwt_token(api_key[-36:], api_key[-73:-37]))


class Api:
    """Calls the sandbox's API and its control by Django's test client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.api_key = defaults.API_KEY

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a signed request; a body that is no text is written as JSON."""
        headers = {"Authorization": f"Bearer {token(self.api_key)}", **headers}
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.generic(method, path, data, content_type="application/json", headers=headers)

    def post(self, **values: Any) -> Any:
        """Send an email, a plain one to Amala unless told otherwise."""
        body = {"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID, **values}
        return self.request("POST", "/v2/notifications/email", body)

    def send(self, **values: Any) -> str:
        """Send an email that is accepted, and return its id."""
        response = self.post(**values)
        assert response.status_code == 201, response.content
        return str(response.json()["id"])

    def get(self, path: str) -> Any:
        """Look something up."""
        return self.request("GET", path)

    def look_up(self, notification_id: str) -> dict[str, Any]:
        """Return the notification with this id."""
        response = self.get(f"/v2/notifications/{notification_id}")
        assert response.status_code == 200, response.content
        return dict(response.json())

    def listed(self, query: str = "") -> list[str]:
        """Return the ids on a page."""
        response = self.get(f"/v2/notifications{query}")
        assert response.status_code == 200, response.content
        return [item["id"] for item in response.json()["notifications"]]

    def control(self, path: str, **values: Any) -> Any:
        """Tell the sandbox something."""
        response = self.client.post(f"/sandbox/{path}", values, content_type="application/json")
        assert response.status_code == 200, response.content
        return response.json()["result"]

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Ask the sandbox something."""
        return list(self.client.get(f"/sandbox/{path}").json()["result"])


def messages_of(response: HttpResponseBase) -> list[str]:
    """Return the messages of a refusal."""
    return [error["message"] for error in response.json()["errors"]]  # type: ignore[attr-defined]


@pytest.fixture
def api(db: None, client: Client) -> Api:
    """The sandbox, mounted in this project."""
    return Api(client)


@pytest.fixture
def recorded_world(db: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Service]:
    """The services that the recorded requests were made for, at the time of the recording."""
    SandboxState.change(frozen_at=clock.from_datetime(recorded.MOMENT))
    for service in recorded.services().values():
        monkeypatch.setitem(services._services, service.id, service)
    return recorded.services()


@pytest.fixture(autouse=True)
def _replays_told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Note in the test's report which recordings it replayed: it may run in a process of its own."""
    before = set(accounts.replayed)
    yield
    for name in accounts.replayed - before:
        record_property("replayed", name)

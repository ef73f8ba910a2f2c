"""A caller of the sandbox's API within the process, and the service that recorded answers were made for."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from notifications_python_client.authentication import create_jwt_token

from django_govuk_notify_outbox.sandbox import defaults, services
from django_govuk_notify_outbox.sandbox.services import ApiKey, Service, Template

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


def _template(number: str, subject: str, body: str, **values: Any) -> Template:
    return Template(id=UUID(number), subject=subject, body=body, **values)


@pytest.fixture
def recorded_service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service that the recorded requests were made for, with keys of our own."""
    templates = [
        _template(
            "f0469c83-1d92-4a6c-8a91-32dd21c1e98d", "Application received", "Hello.\n\nYour application was received."
        ),
        _template(
            "d497847c-f71a-4772-bf71-ff6cef33ec1a",
            "Decision for ((name))",
            "Hello ((name)),\n\nYour reference is ((reference)).\n\n# Heading\n\n* one\n* two",
        ),
        _template("c3fae156-f219-4638-8c00-045bf24935bb", "((subject))", "((body))"),
        _template(
            "de8cd7e2-33a2-4561-90ec-1799bf9c3a62",
            "Conditional",
            "Start ((show??Optional text)) end ((Full Name))",
        ),
        _template("ff1ef730-a5e0-473a-b400-9d570c0ffee0", "Fixed subject", "((content))"),
        _template("d77f0939-637e-4bc7-aa37-87ed2aa24589", "Newsletter", "News."),
        _template("2062df11-0db4-488c-bb64-946c71d2050f", "Old", "Old.", archived=True),
        _template("0535e348-dd2a-48e9-83c9-5929f6853267", "", "Hello ((name))", type="sms"),
    ]
    service = Service(
        id=UUID("ca5badd7-ff64-447d-b2cc-1b8aa0ff4859"),
        email_from="loopback.live",
        api_keys=tuple(ApiKey(kind=kind, secret=str(uuid4())) for kind in ("live", "team", "test")),
        templates={template.id: template for template in templates},
        guests=frozenset({"guest@example.com", "team.member@digital.cabinet-office.gov.uk"}),
        reply_to_addresses={UUID("4b3c2708-6ae3-48a4-8af1-7ba1442fdb91"): "casework@example.gov.uk"},
    )
    monkeypatch.setitem(services._services, service.id, service)
    return service

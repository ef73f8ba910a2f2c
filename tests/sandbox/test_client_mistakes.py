"""Keys and values that the official client, or Notify, doesn't take."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError

from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox

from .conftest import ADDRESS


@pytest.fixture
def client(sandbox: Sandbox) -> NotificationsAPIClient:
    """The official client as it is, with the sandbox's key and address."""
    return NotificationsAPIClient(sandbox.api_key, base_url=sandbox.base_url)


@pytest.mark.parametrize("key", ["", "short", defaults.API_KEY[-36:]])
def test_key_that_is_too_short_is_refused_before_anything_is_sent(sandbox: Sandbox, key: str) -> None:
    with pytest.raises(AssertionError, match="Missing"):
        NotificationsAPIClient(key, base_url=sandbox.base_url).get_all_notifications()

    assert sandbox.requests() == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (f"{defaults.API_KEY}\n", "Invalid token: service id is not the right data type"),
        (f"{defaults.API_KEY} ", "Invalid token: service id is not the right data type"),
        (defaults.API_KEY[:-36] + defaults.API_KEY[-36:].upper(), "Invalid token: API key not found"),
    ],
)
def test_key_with_a_mistake_is_refused_as_recorded(sandbox: Sandbox, key: str, message: str) -> None:
    with pytest.raises(HTTPError) as refused:
        NotificationsAPIClient(key, base_url=sandbox.base_url).get_all_notifications()

    assert refused.value.status_code == 403
    assert refused.value.message == [{"error": "AuthError", "message": message}]


def test_key_without_its_name_works(sandbox: Sandbox) -> None:
    client = NotificationsAPIClient(defaults.API_KEY[-73:], base_url=sandbox.base_url)

    assert client.get_all_notifications()["notifications"] == []


@pytest.mark.parametrize("value", [Decimal(1), date(2026, 11, 22), uuid4(), object()])
def test_values_that_are_no_json_never_leave_the_client(
    client: NotificationsAPIClient, sandbox: Sandbox, value: object
) -> None:
    with pytest.raises(TypeError):
        client.send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": value})

    assert sandbox.requests() == []


def test_set_is_sent_as_a_list(client: NotificationsAPIClient) -> None:
    answer = client.send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": {"a", "b"}})

    assert answer["content"]["subject"] in ("Hello a and b", "Hello b and a")

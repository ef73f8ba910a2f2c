"""Tokens that Notify refuses, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import jwt
import pytest

from django_govuk_notify_outbox.sandbox import clock, defaults, services
from django_govuk_notify_outbox.sandbox.services import ApiKey

from .conftest import Api, messages_of, token


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": str(UUID(int=1))}, "Invalid token: service not found"),
        ({"iss": None}, "Invalid token: iss field not provided"),
        ({"iat": "soon"}, "Error: Your system clock must be accurate to within 30 seconds"),
        ({"nbf": 4_000_000_000}, "Error: Your system clock must be accurate to within 30 seconds"),
        (
            {"exp": 1_000_000_000},
            (
                "Invalid token: make sure your API token matches the example at "
                "https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header"
            ),
        ),
    ],
)
def test_tokens_that_notify_refuses_are_refused(api: Api, claims: dict[str, Any], message: str) -> None:
    payload = jwt.decode(token(defaults.API_KEY), options={"verify_signature": False})
    payload = {name: claim for name, claim in {**payload, **claims}.items() if claim is not None}

    response = api.request(
        "POST", "/v2/notifications/email", {}, Authorization=f"Bearer {jwt.encode(payload, defaults.API_KEY[-36:])}"
    )

    assert response.status_code == 403
    assert response.json()["errors"] == [{"error": "AuthError", "message": message}]


def test_service_without_keys_lets_nobody_in(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, api_keys=()))

    assert messages_of(api.post()) == ["Invalid token: service has no API keys"]


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (0, "Invalid token: API key revoked"),
        (6, "Invalid token: API key revoked"),
        (8, "Invalid token: API key not found"),
    ],
)
def test_revoked_key_is_spoken_of_for_a_week(
    api: Api, monkeypatch: pytest.MonkeyPatch, days: int, message: str
) -> None:
    revoked_at = clock.real_now() / clock.SECOND - days * 24 * 3600
    live, *others = defaults.SERVICE.api_keys
    keys = (replace(live, revoked_at=revoked_at), *others)
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, api_keys=keys))

    assert messages_of(api.post()) == [message]
    api.api_key = defaults.TEST_API_KEY
    assert api.post().status_code == 201


def test_service_all_of_whose_keys_are_forgotten_has_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ApiKey(kind="live", secret=defaults.API_KEY[-36:], revoked_at=0)
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, api_keys=(key,)))

    assert messages_of(api.post()) == ["Invalid token: service has no API keys"]


def test_archived_service_lets_nobody_in(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, active=False))

    assert messages_of(api.post()) == ["Invalid token: service is archived"]


@pytest.mark.parametrize("given", ["0123456789abcdef0123456789abcdef", None])
def test_every_answer_has_a_trace_id_the_callers_if_it_gave_one(api: Api, given: str | None) -> None:
    headers = {"X-B3-TraceId": given} if given else {}

    for path in ("/v2/notifications", "/v2/nothing"):
        trace = api.request("GET", path, **headers).headers["X-B3-TraceId"]
        assert trace == given if given else len(trace) == 32

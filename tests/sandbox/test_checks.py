"""The sandbox stays out of production."""

from __future__ import annotations

from django.core import checks
from django.test import Client
from pytest_django import Settings

CHECK = "govuk_notify_sandbox.E001"


def _reported() -> list[checks.CheckMessage]:
    return [message for message in checks.run_checks() if message.id == CHECK]


def test_check_reports_a_sandbox_where_debug_is_off(settings: Settings) -> None:
    del settings.GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG

    (error,) = _reported()

    assert error.level == checks.ERROR
    assert error.hint is not None
    assert "GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG = True" in error.hint


def test_check_is_silent_where_the_sandbox_is_meant(settings: Settings) -> None:
    assert _reported() == []

    settings.GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG = False
    settings.DEBUG = True

    assert _reported() == []


def test_views_are_shut_where_the_check_would_fail(client: Client, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG = False

    for path in ("/v2/notifications", "/sandbox/emails"):
        response = client.get(path)
        assert response.status_code == 500
        assert "DEBUG is False" in response.json()["errors"][0]["message"]

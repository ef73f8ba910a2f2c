"""The sandbox stays out of production."""

from __future__ import annotations

import re
import subprocess
import sys
from uuid import uuid4

from django.core import checks
from django.test import Client
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import urls

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

    for path in _addresses():
        for response in (client.get(path), client.post(path)):
            assert response.status_code == 500, path
            assert "DEBUG is False" in response.json()["errors"][0]["message"]


def _addresses() -> list[str]:
    """Return an example of every address that the sandbox has, its pages included."""
    parts = {"<uuid:notification_id>": str(uuid4()), "<int:version>": "1", "^v2/": "v2/nothing"}
    found = []
    for pattern in urls.urlpatterns:
        address = str(pattern.pattern)
        for part, example in parts.items():
            address = address.replace(part, example)
        found.append("/" + re.sub("<str:.*?>", "something", address))
    assert {"/", "/mailbox/", "/mailbox/faults/", "/sandbox/emails", "/v2/notifications"} <= set(found)
    return found


def test_urls_cannot_be_mounted_where_the_check_does_not_look() -> None:
    """A project that mounts them without the app, and so without its check, does not start."""
    script = (
        "import django; from django.conf import settings; settings.configure(ROOT_URLCONF='x'); django.setup();"
        "import django_govuk_notify_outbox.sandbox.urls"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "isn't in an application in INSTALLED_APPS" in done.stderr

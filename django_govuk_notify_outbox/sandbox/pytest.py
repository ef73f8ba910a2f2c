"""Fixtures for the tests of projects that send emails.

Name this module in your topmost conftest.py:

    pytest_plugins = ["django_govuk_notify_outbox.sandbox.pytest"]

It's no entry point, by which pytest would load it wherever the package is installed: in every run of every project's
tests, whether they send emails or not, before Django is set up and before coverage is measured. Celery has its plugin
named in the same way.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import pytest
from django.conf import settings
from django.test.utils import override_settings
from notifications_python_client import NotificationsAPIClient

from .control import Sandbox
from .process import running_sandbox

_SETTINGS = "GOVUK_NOTIFY_SANDBOX_"
_POINTERS = "DJANGO_GOVUK_NOTIFY_OUTBOX__"


class AcceptedEmails(Sequence[dict[str, Any]]):
    """The emails that the sandbox has accepted in this test, in that order. Each look asks the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._sandbox.emails()[index]

    def __len__(self) -> int:
        return len(self._sandbox.emails())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._sandbox.emails())

    def __repr__(self) -> str:
        return repr(self._sandbox.emails())


@pytest.fixture(scope="session")
def govuk_notify_sandbox_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of the sandbox's command: templates and contact details as your settings say. Override it for others."""
    if not _has_settings():
        return []
    options = []
    if templates := getattr(settings, f"{_SETTINGS}TEMPLATES", None):
        path: Path = tmp_path_factory.mktemp("govuk-notify-sandbox") / "templates.json"
        path.write_text(json.dumps({str(name): template for name, template in templates.items()}))
        options += ["--templates", str(path)]
    if link := getattr(settings, f"{_SETTINGS}CONTACT_LINK", None):
        options += ["--contact-link", str(link)]
    return options


@pytest.fixture(scope="session")
def govuk_notify_sandbox_process(govuk_notify_sandbox_options: list[str]) -> Iterator[Sandbox]:
    """One sandbox for the whole session, or for each of xdist's workers. Tests use govuk_notify_sandbox."""
    # Tests send faster than services do, and don't wait for deliveries
    with running_sandbox(*govuk_notify_sandbox_options, sending_after=0, final_after=0, rate_limit=0) as sandbox:
        yield sandbox


@pytest.fixture
def govuk_notify_sandbox(govuk_notify_sandbox_process: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without emails or faults, to which the settings point for as long as the test runs."""
    sandbox = govuk_notify_sandbox_process
    sandbox.reset()
    sandbox.set_timing(sending_after=0, final_after=0)
    if not _has_settings():
        yield sandbox
        return
    pointers = {f"{_POINTERS}BASE_URL": sandbox.base_url, f"{_POINTERS}API_KEY": sandbox.api_key}
    with override_settings(**pointers):
        yield sandbox


@pytest.fixture
def govuk_notify_client(govuk_notify_sandbox: Sandbox) -> NotificationsAPIClient:
    """Notify's own client, which talks to the sandbox."""
    return NotificationsAPIClient(govuk_notify_sandbox.api_key, base_url=govuk_notify_sandbox.base_url)


@pytest.fixture
def govuk_notify_emails(govuk_notify_sandbox: Sandbox) -> AcceptedEmails:
    """The emails that the sandbox has accepted in this test."""
    return AcceptedEmails(govuk_notify_sandbox)


def _has_settings() -> bool:
    return settings.configured or bool(os.environ.get("DJANGO_SETTINGS_MODULE"))

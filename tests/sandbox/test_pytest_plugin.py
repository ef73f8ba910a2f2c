"""The fixtures for users' own tests, used as a user uses them: in a project of their own, by a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import django_govuk_notify_outbox

PACKAGE_FOLDER = Path(django_govuk_notify_outbox.__file__).resolve().parents[1]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mailbox.md").read_text()

SETTINGS = """
from celery import Celery

INSTALLED_APPS = ["django.contrib.contenttypes", "django_govuk_notify_outbox"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
SECRET_KEY = "only-for-tests"
USE_TZ = True
DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = "key-of-production"
DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
GOVUK_NOTIFY_SANDBOX_TEMPLATES = {
    "0f6d2f5e-7d67-4a3c-9c6b-3d1f6a0b7a11": {"name": "Permit", "subject": "Your permit, ((name))", "body": "Take it."},
}
GOVUK_NOTIFY_SANDBOX_CONTACT_LINK = "https://www.example.gov.uk/contact"

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""

MORE_TESTS = """
import io

import pytest
from django.conf import settings
from notifications_python_client import prepare_upload

PERMIT = "0f6d2f5e-7d67-4a3c-9c6b-3d1f6a0b7a11"
KEY = "DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY"


@pytest.mark.parametrize("name", ["Amala", "Bo"])
def test_each_test_begins_with_an_empty_sandbox(govuk_notify_client, govuk_notify_emails, govuk_notify_sandbox, name):
    assert len(govuk_notify_emails) == 0
    assert govuk_notify_sandbox.faults() == []
    govuk_notify_client.send_email_notification("amala@example.com", PERMIT, {"name": name})
    govuk_notify_sandbox.add_fault(status=500)
    assert [email["subject"] for email in govuk_notify_emails] == [f"Your permit, {name}"]
    assert govuk_notify_emails[:1] == govuk_notify_sandbox.emails()
    assert f"Your permit, {name}" in repr(govuk_notify_emails)


def test_settings_point_to_it_for_as_long_as_the_test_runs(govuk_notify_sandbox):
    assert getattr(settings, KEY) == govuk_notify_sandbox.api_key


def test_files_can_be_sent_as_the_settings_say(govuk_notify_client, govuk_notify_emails):
    file = prepare_upload(io.BytesIO(b"%PDF-1.4"), filename="permit.pdf")
    govuk_notify_client.send_email_notification("amala@example.com", PERMIT, {"name": file})
    assert "/d/" in govuk_notify_emails[0]["subject"]


def test_other_tests_have_their_own_settings():
    assert getattr(settings, KEY) == "key-of-production"
"""

WITHOUT_DJANGO = """
def test_client_works_without_django(govuk_notify_client, govuk_notify_emails):
    govuk_notify_client.send_email_notification("amala@example.com", "b2e6d4c9-1c85-4f37-9ea4-7d8f3bac5012")
    assert [email["email_address"] for email in govuk_notify_emails] == ["amala@example.com"]
"""


def _block(name: str) -> str:
    (code,) = re.findall(rf"^```python\n(# {re.escape(name)}\n.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(code)


def _run(folder: Path, *arguments: str, **variables: str) -> str:
    """Run pytest in the folder, as a user does; what it wrote."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(PACKAGE_FOLDER), **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose tests name the plugin, as the page says."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(_block("conftest.py"))
    return tmp_path


@pytest.mark.e2e
def test_user_who_follows_the_page_has_green_tests(project: Path) -> None:
    (project / "project.py").write_text(SETTINGS)
    (project / "test_emails.py").write_text(_block("test_emails.py"))
    (project / "test_more.py").write_text(MORE_TESTS)

    told = _run(project, "-W", "ignore:unclosed <socket:ResourceWarning", DJANGO_SETTINGS_MODULE="project")

    assert re.search(r"^8 passed in", told, flags=re.MULTILINE), told


@pytest.mark.e2e
@pytest.mark.parametrize("variables", [{}, {"DJANGO_SETTINGS_MODULE": "bare"}], ids=["no settings", "bare settings"])
def test_fixtures_work_without_djangos_plugin(project: Path, variables: dict[str, str]) -> None:
    (project / "test_client.py").write_text(WITHOUT_DJANGO)
    (project / "bare.py").write_text("SECRET_KEY = 'only-for-tests'\n")

    told = _run(project, "-p", "no:django", "-W", "ignore:unclosed <socket:ResourceWarning", **variables)

    assert re.search(r"^1 passed in", told, flags=re.MULTILINE), told


@pytest.mark.e2e
def test_package_adds_nothing_to_tests_that_do_not_name_it(tmp_path: Path) -> None:
    (tmp_path / "test_client.py").write_text(WITHOUT_DJANGO)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    told = _run(tmp_path, "-p", "no:django")

    assert "fixture 'govuk_notify_client' not found" in told
    assert "1 error in" in told


@pytest.mark.e2e
def test_fixtures_are_listed_with_what_they_are(project: Path) -> None:
    told = _run(project, "-p", "no:django", "--fixtures")

    for name in re.findall(r"^\| `(govuk_notify_\w+)` \|", PAGE, flags=re.MULTILINE):
        assert re.search(rf"^{name}\b.*\n +\S", told, flags=re.MULTILINE), name

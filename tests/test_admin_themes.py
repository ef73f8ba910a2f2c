"""The admin's pages are whole in the themes that projects use: Django's own, django-unfold and django-jazzmin."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.desk import text_of
from tests.needs import need

THEMES = ("django", "unfold", "jazzmin")


@cache
def pages(theme: str) -> dict[str, str]:
    """The HTML of each page in the theme."""
    command = [sys.executable, "-m", "tests.themed", theme]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(params=THEMES)
def theme(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    need(importlib.util.find_spec(name), f"django-{name}")
    return name


def test_the_list_is_whole_in_every_theme(theme: str) -> None:
    html = pages(theme)["list"]
    told = text_of(html)
    for part in ("Recipient", "Last change", "Last error", "amala@example.com", "Send it to Notify"):
        assert part in told
    assert html.count('<span class="outbox-tag outbox-tag--waiting">Sending to Notify</span>') == 3
    assert '<option value="send-again">' in html
    assert "django_govuk_notify_outbox/admin.css" in html
    for choice in ("Needs attention", "On its way", "Failed before Notify", "a-template", "Past 7 days"):
        assert choice in told
    assert html.count("amala@example.com") == 3
    assert 'value="amala@example.com"' in pages(theme)["search"]


def test_a_number_where_counting_stopped_is_shown_as_such_in_every_theme(theme: str) -> None:
    html = pages(theme)["long list"]
    assert "There are more of these emails than are listed." in html
    assert "2+" in text_of(html)
    assert "2+" not in text_of(pages(theme)["list"])


def test_the_page_of_an_email_is_whole_in_every_theme(theme: str) -> None:
    html = pages(theme)["detail"]
    for part in ('<ol class="outbox-timeline">', '<ul class="outbox-possible">', "Traceback of a theme", "<summary>"):
        assert part in html
    # Shown as HTML, not as its source
    assert "&lt;ol" not in html
    assert "&lt;pre" not in html
    told = text_of(html)
    for part in ("Attempt 1: no clear answer", "Stop trying", "amala@example.com", "What was asked for"):
        assert part in told
    assert "&quot;name&quot;: &quot;Amala&quot;" in html


@pytest.mark.parametrize("name", ["confirmation", "confirmation of many"])
def test_the_confirmation_is_whole_in_every_theme(theme: str, name: str) -> None:
    html = pages(theme)[name]
    told = text_of(html)
    number = "1 email" if name == "confirmation" else "3 emails"
    for part in (f"Stop trying: {number}", f"What will happen {number}: It will not be sent.", "No, go back"):
        assert part in told
    assert 'name="csrfmiddlewaretoken"' in html
    assert "django_govuk_notify_outbox/admin.css" in html
    assert "<title>" in html


def test_what_was_done_is_told_in_every_theme(theme: str) -> None:
    assert "Stop trying: 3 emails: It will not be sent." in text_of(pages(theme)["done"])


def test_the_text_of_an_email_is_whole_in_every_theme(theme: str) -> None:
    told = text_of(pages(theme)["text"])
    for part in ("What the recipient would see", "Notify did not show it", "No connection could be made."):
        assert part in told

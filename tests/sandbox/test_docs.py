"""The page about the sandbox holds what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import conf, defaults, server

from . import accounts, recorded
from .conftest import Api

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text()


def _blocks(file: str) -> list[str]:
    return [code for code in re.findall(r"^```python\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
            if code.startswith(f"# {file}\n")]  # fmt: skip


def test_settings_on_the_page_work(api: Api, settings: Settings) -> None:
    namespace: dict[str, Any] = {"INSTALLED_APPS": []}
    for block in _blocks("settings.py"):
        exec(block, namespace)
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = namespace["GOVUK_NOTIFY_SANDBOX_TEMPLATES"]

    assert namespace["DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY"] == defaults.API_KEY
    assert [message for message in run_checks() if str(message.id).startswith("govuk_notify_sandbox")] == []
    values = {"name": "Amala", "amount": "£3", "gift": True, "news": "none"}
    for template_id in namespace["GOVUK_NOTIFY_SANDBOX_TEMPLATES"]:
        api.send(template_id=template_id, personalisation=values)
    assert [email["body"] for email in api.asked("emails")] == [
        "Hello Amala,\n\nYou paid £3.\n\n# Thank you for your gift",
        "News: none",
    ]


def test_example_for_tests_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = _blocks("tests.py")

    exec(block, {})

    assert capsys.readouterr().out == "[] [] []\n"


def test_every_setting_and_its_option_are_told_with_their_defaults() -> None:
    options = vars(server._parse([]))
    names = {value for value in vars(conf).values() if isinstance(value, str) and value.startswith(conf.PREFIX)}
    rows = re.findall(r"^\| `(GOVUK_\w+)` \| `--([a-z-]+)[^`]*` \| (\S+) \|", _PAGE, re.MULTILINE)

    assert {row[0] for row in rows} | {conf.ALLOWED_WITHOUT_DEBUG, conf.PREFIX} == names
    for name, option, default in rows:
        assert option == name.removeprefix(conf.PREFIX).lower().replace("_", "-")
        told = default.strip("`")
        assert str(options[option.replace("-", "_")] or "none") == told


def test_counts_on_the_page_are_those_of_the_recordings() -> None:
    replayed = len(recorded.ROWS) - len(accounts.FACTS) - len(accounts.EXCLUDED)

    assert f"{len(recorded.ROWS)} requests and answers" in _PAGE
    assert f"{replayed} of them are replayed" in _PAGE
    assert f"{len(accounts.FACTS)} are facts" in _PAGE
    assert f"the other {len(accounts.EXCLUDED)} with the reason" in _PAGE.replace("\n", " ")

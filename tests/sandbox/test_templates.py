"""Templates: defined in the settings, in versions, and what they look like filled in."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import defaults

from .conftest import ADDRESS, Api, messages_of

OWN_ID = "6f1d2c3b-5a69-4c0e-9f7d-2b8c4e1a3d50"
OTHER_ID = "7a2e3d4c-6b7a-4d1f-8a8e-3c9d5f2b4e61"


@pytest.fixture
def own_templates(settings: Settings) -> dict[str, Any]:
    """Two templates in the settings: one in two versions, one deleted."""
    templates = {
        OWN_ID: [
            {"name": "Receipt", "subject": "Receipt", "body": "You paid ((amount))."},
            {"name": "Receipt", "subject": "Your receipt", "body": "You paid ((amount)) on ((date))."},
        ],
        OTHER_ID.upper(): {"subject": "News", "body": "News.", "archived": True, "has_unsubscribe_link": True},
    }
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = templates
    return templates


@pytest.mark.usefixtures("own_templates")
def test_templates_in_the_settings_are_sent_and_shown_in_all_their_versions(api: Api) -> None:
    values = {"amount": "£3", "date": "3 March"}
    answer = api.post(template_id=OWN_ID, personalisation=values).json()

    assert (answer["content"]["subject"], answer["content"]["body"]) == ("Your receipt", "You paid £3 on 3 March.")
    assert answer["template"]["version"] == 2
    assert api.look_up(answer["id"])["template"]["version"] == 2
    current = api.get(f"/v2/template/{OWN_ID}").json()
    assert (current["name"], current["version"], list(current["personalisation"])) == ("Receipt", 2, ["amount", "date"])
    assert api.get(f"/v2/template/{OWN_ID}/version/2").json() == current
    first = api.get(f"/v2/template/{OWN_ID}/version/1").json()
    assert (first["subject"], first["version"], first["updated_at"]) == ("Receipt", 1, None)
    assert api.get(f"/v2/template/{OWN_ID}/version/3").status_code == 404
    assert messages_of(api.post(template_id=OWN_ID, personalisation={"amount": 1})) == ["Missing personalisation: date"]


@pytest.mark.usefixtures("own_templates")
def test_deleted_template_is_shown_and_neither_listed_nor_sent(api: Api) -> None:
    assert api.get(f"/v2/template/{OTHER_ID}").json()["name"] == "News"
    assert messages_of(api.post(template_id=OTHER_ID)) == ["Template has been deleted"]
    names = [one["name"] for one in api.get("/v2/templates").json()["templates"]]
    assert names == ["Application received", "Appointment", "Hello", "Receipt"]


def test_template_in_the_settings_takes_the_place_of_a_built_in_one(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = {defaults.PLAIN_TEMPLATE_ID: {"subject": "Mine", "body": "Mine."}}

    assert api.post().json()["content"]["subject"] == "Mine"
    assert len(api.get("/v2/templates").json()["templates"]) == 3


def test_template_with_a_link_to_unsubscribe_shows_one_of_notifys_own(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = {
        OWN_ID: {"subject": "News", "body": "News.", "has_unsubscribe_link": True}
    }

    own, given = api.send(template_id=OWN_ID), api.send(template_id=OWN_ID, one_click_unsubscribe_url="https://a.uk/u")

    assert api.look_up(own)["one_click_unsubscribe_url"].startswith(f"http://testserver/unsubscribe/{own}/")
    assert api.look_up(given)["one_click_unsubscribe_url"] == "https://a.uk/u"


@pytest.mark.parametrize(
    ("templates", "mistakes"),
    [
        ([], ["It is a dictionary of templates by their ids."]),
        ({"x": {"subject": "s", "body": "b"}}, ["'x' is no UUID."]),
        ({OWN_ID: []}, [f"{OWN_ID}: it has no version."]),
        ({OWN_ID: "text"}, [f'{OWN_ID}: a version is a dictionary with "subject" and "body".']),
        (
            {OWN_ID: [{"subject": 1, "boddy": "b"}]},
            [
                f'{OWN_ID}: "body" is missing.',
                f'{OWN_ID}: "subject" is not of type str.',
                (f'{OWN_ID}: "boddy" is unknown. There are name, subject, body, type, archived, has_unsubscribe_link.'),
            ],
        ),
    ],
)
def test_every_mistake_in_templates_is_reported_by_a_check(
    api: Api, settings: Settings, templates: Any, mistakes: list[str]
) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = templates

    found = [message.msg for message in run_checks() if message.id == "govuk_notify_sandbox.E002"]

    assert found == [f"GOVUK_NOTIFY_SANDBOX_TEMPLATES has a mistake: {mistake}" for mistake in mistakes]
    # The others still work
    assert api.post().status_code == 201
    assert messages_of(api.post(template_id=OWN_ID)) == ["Template not found"]


@pytest.mark.parametrize(
    ("name", "value"), [("RATE_LIMIT", "3000"), ("DAILY_LIMIT", -1), ("RETENTION_DAYS", 0), ("RATE_LIMIT", True)]
)
def test_number_that_is_none_is_reported_by_a_check(settings: Settings, name: str, value: object) -> None:
    setattr(settings, f"GOVUK_NOTIFY_SANDBOX_{name}", value)

    found = [message.msg for message in run_checks() if message.id == "govuk_notify_sandbox.E003"]

    assert found == [f"GOVUK_NOTIFY_SANDBOX_{name} is not a whole number in its range."]


def test_misspelt_setting_is_reported_by_a_check(settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATE = {}

    found = [message.msg for message in run_checks() if message.id == "govuk_notify_sandbox.E004"]

    assert found == ["GOVUK_NOTIFY_SANDBOX_TEMPLATE is no setting of the sandbox."]


def test_right_settings_are_not_reported(settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = {OWN_ID: {"subject": "s", "body": "b"}}
    settings.GOVUK_NOTIFY_SANDBOX_RATE_LIMIT = 0

    assert [message.id for message in run_checks() if str(message.id).startswith("govuk_notify_sandbox")] == []


def test_text_message_is_previewed_with_its_white_space_tidied(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = {
        OWN_ID: {"name": "Text", "type": "sms", "subject": "", "body": "Hello  ((name)) ,\n\n\n\nbye "}
    }
    preview = api.request("POST", f"/v2/template/{OWN_ID}/preview", {"personalisation": {"name": ["a", "b"]}}).json()

    assert preview == {
        "id": OWN_ID,
        "type": "sms",
        "version": 1,
        "subject": None,
        "body": "Hello a and b,\n\nbye",
        "html": None,
        "postage": None,
    }
    assert [one["name"] for one in api.get("/v2/templates?type=sms").json()["templates"]] == ["Text"]
    assert api.request("OPTIONS", f"/v2/template/{OWN_ID}/preview").headers["Allow"] == "POST, OPTIONS"


def test_body_that_is_not_made_of_placeholders_alone_is_never_empty(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_TEMPLATES = {
        OWN_ID: {"subject": "s", "body": " ((a))"},
        OTHER_ID: {"subject": "s", "body": "((a)) ((b))"},
    }

    assert api.post(template_id=OWN_ID, personalisation={"a": ""}).status_code == 201
    refused = api.post(template_id=OTHER_ID, personalisation={"a": "", "b": " "})
    assert messages_of(refused) == ["Your message is empty."]
    assert [email["email_address"] for email in api.asked("emails")] == [ADDRESS]

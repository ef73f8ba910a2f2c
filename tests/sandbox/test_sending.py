"""What is accepted, what is refused and with which words, where the recordings don't tell."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from freezegun import freeze_time

from django_govuk_notify_outbox.sandbox import defaults, services
from django_govuk_notify_outbox.sandbox.models import Notification

from .conftest import ADDRESS, Api, messages_of

NOW = "2026-11-22T12:00:00+00:00"


def _rejected(api: Api, **values: Any) -> list[str]:
    response = api.post(**values)
    assert response.status_code == 400, response.content
    assert Notification.objects.count() == 0
    return messages_of(response)


def _template(monkeypatch: pytest.MonkeyPatch, **values: Any) -> str:
    """Give the default service another template, and return its id."""
    template = replace(services.Template(id=uuid4(), subject="Subject", body="Body"), **values)
    templates = {**defaults.SERVICE.templates, template.id: template}
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, templates=templates))
    return str(template.id)


@pytest.mark.parametrize(
    ("template_id", "personalisation", "subject", "body"),
    [
        (
            defaults.TEMPLATE_ID,
            {"name": "Amala"},
            "Hello Amala",
            "Hello Amala,\n\nThis email comes from the sandbox.",
        ),
        (
            defaults.APPOINTMENT_TEMPLATE_ID,
            {"name": "Amala", "date": "3 May", "time": "10:15", "place": "Town hall", "reference": "A1"},
            "Your appointment on 3 May",
            "Hello Amala,\n\nYour appointment is on 3 May at 10:15.\n\n# Where\n\nTown hall\n\nYour reference is A1.",
        ),
        (
            defaults.PLAIN_TEMPLATE_ID,
            {},
            "We received your application",
            "Hello.\n\nWe received your application.",
        ),
    ],
)
def test_built_in_templates_are_filled_in(
    api: Api, template_id: str, personalisation: dict[str, str], subject: str, body: str
) -> None:
    api.send(template_id=template_id, personalisation=personalisation)

    (email,) = api.asked("emails")
    assert (email["subject"], email["body"]) == (subject, body)
    assert email["personalisation"] == personalisation


@pytest.mark.parametrize(
    ("value", "in_subject", "in_body"),
    [
        ([], "Hello", "Hello ,"),
        ([None, " "], "Hello", "Hello ,"),
        (["one"], "Hello one", "Hello \n\n* one,"),
        (["one", "two"], "Hello one and two", "Hello \n\n* one\n* two,"),
        (["one", " two ", 3], "Hello one, two and 3", "Hello \n\n* one\n* two\n* 3,"),
        ({"a": 1}, "Hello {‘a’: 1}", "Hello {'a': 1},"),
        ("<script>alert(1)</script>", "Hello <script>alert(1)</script>", "Hello <script>alert(1)</script>,"),
        ("{{ name }} {% now %}", "Hello {{ name }} {% now %}", "Hello {{ name }} {% now %},"),
    ],
)
def test_values_are_inserted_as_text(api: Api, value: object, in_subject: str, in_body: str) -> None:
    content = api.post(template_id=defaults.TEMPLATE_ID, personalisation={"name": value}).json()["content"]

    assert content["subject"] == in_subject
    assert content["body"] == f"{in_body}\n\nThis email comes from the sandbox."


@pytest.mark.parametrize("value", ["yes", "Y", True, "true", "t", 1, "1", "include", "show"])
def test_conditional_text_is_shown_for_a_yes(api: Api, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    template_id = _template(monkeypatch, body="Start ((show??text)) end")

    content = api.post(template_id=template_id, personalisation={"Show": value}).json()["content"]

    assert content["body"] == "Start text end"


def test_harmless_values_are_not_reported_as_sanitised(api: Api) -> None:
    answer = api.post(
        template_id=defaults.APPOINTMENT_TEMPLATE_ID,
        personalisation={"name": "Amala", "date": "3 May", "time": "10:15", "place": "*", "reference": "*"},
        sanitise_content_for=["name", "place"],
    ).json()

    assert answer["sanitised_content"] == {"place": {"sanitised": "\\*", "unsanitised": "*"}}
    assert answer["content"]["body"].endswith("# Where\n\n\\*\n\nYour reference is *.")


def test_raw_body_is_kept_byte_for_byte(api: Api) -> None:
    body = (
        f' {{"template_id" : "{defaults.TEMPLATE_ID}",'
        ' "personalisation": {"z": "\\u00e9", "name": "é🙂", "a": "x\\u0000", "name": "last"}'
        f',\n"email_address":"{ADDRESS}"}} '
    )

    response = api.request("POST", "/v2/notifications/email", body)

    assert response.json()["content"]["subject"] == "Hello last"
    (email,) = api.asked("emails")
    assert email["request_body"] == body
    assert list(email["personalisation"]) == ["z", "name", "a"]


def test_body_in_another_encoding_of_unicode_is_understood(api: Api) -> None:
    body = json.dumps({"email_address": ADDRESS, "template_id": defaults.PLAIN_TEMPLATE_ID})

    response = api.request("POST", "/v2/notifications/email", body.encode("utf-16"))

    assert response.status_code == 201
    assert api.asked("emails")[0]["request_body"] == body


def test_text_with_nul_is_filled_in(api: Api) -> None:
    notification_id = api.send(template_id=defaults.TEMPLATE_ID, personalisation={"name": "a\0b"})

    assert api.look_up(notification_id)["body"].startswith("Hello a\0b,")


@pytest.mark.parametrize(
    ("reference", "error"), [("a\0b", "ValueError"), ("\ud800", "UnicodeEncodeError"), ("x" * 1000, None)]
)
def test_references_that_no_database_takes_are_a_500(api: Api, reference: str, error: str | None) -> None:
    response = api.post(reference=reference)

    if error is None:
        assert response.status_code == 201
    else:
        assert response.status_code == 500
        assert response.json()["errors"] == [{"error": error, "message": "Internal server error"}]
        assert Notification.objects.count() == 0


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        ({"template_id": str(uuid4())}, ["Template not found"]),
        ({"scheduled_for": 5}, ["scheduled_for 5 is not of type string, null"]),
        ({"scheduled_for": "2026-11-22T11:59:59"}, ["scheduled_for datetime can not be in the past"]),
        (
            {"scheduled_for": "2026-11-23T12:00:01"},
            ["scheduled_for datetime can only be 24 hours in the future"],
        ),
        (
            {"scheduled_for": "tomorrow"},
            [
                (
                    "scheduled_for datetime format is invalid. It must be a valid ISO8601 date time format, "
                    "https://en.wikipedia.org/wiki/ISO_8601"
                )
            ],
        ),
        ({"one_click_unsubscribe_url": "not a url"}, ["one_click_unsubscribe_url is not a valid https url"]),
        ({"personalisation": {"a": {"b": "c"}}, "template_id": 1.5}, ["template_id is not a valid UUID"]),
        (
            {"personalisation": {"link": {"file": "aGk="}}},
            [
                (
                    "Send files by email has not been set up - add contact details for your service at "
                    f"https://www.notifications.service.gov.uk/services/{defaults.SERVICE_ID}"
                    "/service-settings/send-files-by-email"
                )
            ],
        ),
    ],
)
def test_requests_that_notify_refuses_are_refused(api: Api, values: dict[str, Any], messages: list[str]) -> None:
    with freeze_time(NOW):
        assert _rejected(api, **values) == messages


@pytest.mark.parametrize("hours", [None, 1, 24])
def test_e_mail_for_later_is_sent_at_once(api: Api, hours: int | None) -> None:
    with freeze_time(NOW):
        later = datetime.fromisoformat(NOW) + timedelta(hours=hours or 0)
        response = api.post(scheduled_for=later.isoformat() if hours else None)

    assert response.status_code == 201
    assert response.json()["scheduled_for"] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"type": "sms"}, "sms template is not suitable for email notification"),
        ({"archived": True}, "Template has been deleted"),
        (
            {"body": "x" * 2_000_001},
            "Your message is too long. Emails cannot be longer than 2000000 bytes. Your message is 2000001 bytes.",
        ),
        ({"body": ""}, "Your message is empty."),
    ],
)
def test_templates_that_cannot_be_sent_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], message: str
) -> None:
    assert _rejected(api, template_id=_template(monkeypatch, **values)) == [message]


@pytest.mark.parametrize("size", [4_000_000, 20_000_000])
def test_body_beyond_djangos_own_limit_is_accepted(api: Api, size: int) -> None:
    values = {"unused": "x" * size, "Name": "Amala"}

    assert api.post(template_id=defaults.TEMPLATE_ID, personalisation=values).status_code == 201

    # Of a body that is too large for a database, what is not used is not kept
    kept = api.asked("emails")[0]["personalisation"]
    assert kept == (values if size < 8_000_000 else {"Name": "Amala"})


def test_service_without_the_permission_sends_no_email(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, permissions=frozenset()))

    assert _rejected(api) == ["Service is not allowed to send emails"]
    # What is wrong with the request comes first, the template after it
    assert _rejected(api, email_address="nope") == ["email_address Not a valid email address"]
    assert _rejected(api, template_id=str(UUID(int=1))) == ["Service is not allowed to send emails"]


def test_team_key_reaches_the_team_and_nobody_else(api: Api) -> None:
    api.api_key = defaults.TEAM_API_KEY

    api.send(email_address=defaults.GUEST.upper())
    assert messages_of(api.post()) == ["Can’t send to this recipient using a team-only API key"]

    assert [email["key_kind"] for email in api.asked("emails")] == ["team"]


def test_service_in_trial_mode_reaches_the_team_and_nobody_else(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(services._services, defaults.SERVICE.id, replace(defaults.SERVICE, trial_mode=True))

    api.send(email_address=defaults.TEAM_MEMBER)
    assert messages_of(api.post()) == [
        (
            "Can’t send to this recipient when service is in trial mode – see "
            "https://www.notifications.service.gov.uk/trial-mode"
        )
    ]
    api.api_key = defaults.TEST_API_KEY
    api.send()


def test_simulated_address_is_answered_and_never_stored(api: Api) -> None:
    notification_id = api.send(email_address="Simulate-Delivered-2@notifications.service.gov.uk", reference="r")

    assert api.asked("emails") == []
    assert api.get(f"/v2/notifications/{notification_id}").status_code == 404
    assert api.listed("?reference=r") == []


def test_reply_to_address_in_any_spelling_is_accepted(api: Api) -> None:
    api.send(email_reply_to_id=UUID(defaults.REPLY_TO_ID).hex)


def test_csrf_protection_does_not_apply(db: None) -> None:
    api = Api(Client(enforce_csrf_checks=True))

    api.send()
    api.control("reset")

    assert api.asked("emails") == []


@pytest.mark.parametrize(
    ("address", "is_accepted"),
    [
        ("a@example", False),
        ("a@" + "b." * 130 + "com", False),
        ("a@" + "b" * 63 + ".com", True),
        ("a@\u00ad.com", False),
        ("a\u200bb@example.com", True),
    ],
)
def test_addresses_are_judged_as_by_notify(api: Api, address: str, *, is_accepted: bool) -> None:
    assert (api.post(email_address=address).status_code == 201) is is_accepted

"""Text messages and letters, which the sandbox doesn't send: as Notify to a service without the permission."""

from __future__ import annotations

from typing import Any

import pytest

from django_govuk_notify_outbox.sandbox import defaults

from .conftest import Api, messages_of


@pytest.mark.parametrize(
    ("kind", "request_body", "messages"),
    [
        (
            "sms",
            {"phone_number": "07700 900 123", "template_id": defaults.PLAIN_TEMPLATE_ID},
            ["Service is not allowed to send text messages"],
        ),
        ("sms", {}, ["phone_number is a required property", "template_id is a required property"]),
        (
            "sms",
            {"phone_number": "nonsense", "template_id": defaults.PLAIN_TEMPLATE_ID, "x": 1},
            [
                "phone_number Must not contain letters or symbols",
                "Additional properties are not allowed (x was unexpected)",
            ],
        ),
        (
            "sms",
            {"phone_number": "12", "template_id": 1},
            ["phone_number Not enough digits", "template_id is not a valid UUID"],
        ),
        (
            "sms",
            {"phone_number": "1" * 16, "template_id": defaults.PLAIN_TEMPLATE_ID},
            ["phone_number Too many digits"],
        ),
        (
            "sms",
            {"phone_number": 7, "template_id": defaults.PLAIN_TEMPLATE_ID},
            ["phone_number 7 is not of type string"],
        ),
        (
            "letter",
            {"template_id": defaults.PLAIN_TEMPLATE_ID, "personalisation": {"address_line_1": "Amala"}},
            ["Service is not allowed to send letters"],
        ),
        ("letter", {}, ["template_id is a required property", "personalisation is a required property"]),
        ("letter", {"content": "aGk=", "reference": "r"}, ["Service is not allowed to send letters"]),
        ("letter", {"content": "aGk="}, ["reference is a required property"]),
    ],
)
def test_text_messages_and_letters_are_refused_as_to_a_service_without_the_permission(
    api: Api, kind: str, request_body: dict[str, Any], messages: list[str]
) -> None:
    response = api.request("POST", f"/v2/notifications/{kind}", request_body)

    assert response.status_code == 400
    assert messages_of(response) == messages
    assert api.asked("emails") == []

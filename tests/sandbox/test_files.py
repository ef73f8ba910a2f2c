"""Files sent by email: what Notify checks, and the links that recipients get."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import defaults

from .conftest import Api, messages_of

_SIZE = 2 * 1024 * 1024 + 1024


@pytest.fixture(autouse=True)
def contact_details(settings: Settings) -> None:
    """Let the service send files."""
    settings.GOVUK_NOTIFY_SANDBOX_CONTACT_LINK = "https://example.gov.uk/contact"


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _post(api: Api, **values: Any) -> Any:
    file = {"file": _encoded(b"hi"), **values}
    return api.post(template_id=defaults.TEMPLATE_ID, personalisation={"name": file})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"filename": None, "confirm_email_before_download": None, "retention_period": None, "is_csv": None},
        {"filename": "report.CSV", "confirm_email_before_download": False, "retention_period": "78 weeks"},
        {"is_csv": True, "retention_period": " 1 Week "},
        {"file": _encoded(b"x" * _SIZE)},
        {"filename": "x" * 96 + ".csv"},
    ],
)
def test_file_becomes_a_link_that_leads_to_it(api: Api, values: dict[str, Any]) -> None:
    answer = _post(api, **values).json()

    link = urlsplit(answer["content"]["body"].removeprefix("Hello ").partition(",")[0])
    response = api.client.get(f"{link.path}?{link.query}")
    assert response.status_code == 200
    assert response.content == base64.b64decode(values.get("file", _encoded(b"hi")))
    name = values.get("filename") or "file-1"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert api.look_up(answer["id"])["body"] == answer["content"]["body"]


@pytest.mark.parametrize(
    ("values", "status", "messages"),
    [
        ({"file": None}, 400, ["file None is not of type string"]),
        (
            {"retention_period": "79 weeks"},
            400,
            [
                (
                    "retention_period Unsupported value for retention_period: 79 weeks. "
                    "Supported periods are from 1 to 78 weeks."
                )
            ],
        ),
        (
            {"confirm_email_before_download": "no", "x": 1, "y": 1},
            400,
            [
                (
                    "confirm_email_before_download Unsupported value for confirm_email_before_download: no. "
                    "Use a boolean true or false value."
                ),
                "Additional properties are not allowed (x, y were unexpected)",
            ],
        ),
        ({"file": "a"}, 400, ["Document is not base64 encoded"]),
        ({"file": _encoded(b"x" * (_SIZE + 1))}, 413, ["Uploaded file exceeds file size limit"]),
        ({"filename": "x" * 97 + ".csv"}, 400, ["`filename` cannot be longer than 100 characters"]),
        (
            {"filename": "run.exe"},
            400,
            [
                (
                    "Unsupported file type '.exe'. Supported types are: '.csv', '.doc', '.docx', '.jpeg', '.jpg', "
                    "'.json', '.odt', '.pdf', '.png', '.rtf', '.txt', '.xlsx'"
                )
            ],
        ),
    ],
)
def test_file_that_notify_would_not_send_is_refused(
    api: Api, values: dict[str, Any], status: int, messages: list[str]
) -> None:
    response = _post(api, **values)

    assert response.status_code == status
    assert messages_of(response) == messages
    assert api.asked("emails") == []


def test_service_without_contact_details_sends_no_files(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_CONTACT_LINK = None

    assert messages_of(_post(api)) == [
        (
            "Send files by email has not been set up - add contact details for your service at "
            f"https://www.notifications.service.gov.uk/services/{defaults.SERVICE_ID}/service-settings/send-files-by-email"
        )
    ]
    # The form of the file comes first
    assert messages_of(_post(api, file=1)) == ["file 1 is not of type string"]


def test_link_makes_a_body_longer_and_not_too_long(api: Api) -> None:
    # The file itself doesn't count, though it takes the place of a value
    assert _post(api, file=_encoded(b"x" * _SIZE)).status_code == 201


def test_simulated_address_gets_the_link_of_a_test_document(api: Api) -> None:
    answer = api.post(
        template_id=defaults.TEMPLATE_ID,
        email_address="simulate-delivered@notifications.service.gov.uk",
        personalisation={"name": {"file": "not even encoded"}},
    ).json()

    link = f"http://testserver/services/{defaults.SERVICE_ID}/documents/test-document"
    assert answer["content"]["body"].startswith(f"Hello {link},")
    assert api.asked("emails") == []


@pytest.mark.parametrize(
    "path", ["/d/AAAA/AAAA?key=AAAA", "/d/AAAA/AAAAAAAAAAAAAAAAAAAAAA?key=AAAA", "/d/AAAA/%C3%A9?key=AAAA", "/d/AAAA/x"]
)
def test_link_that_leads_nowhere_is_not_found(api: Api, path: str) -> None:
    assert api.client.get(path).status_code == 404


def test_key_of_a_file_that_was_not_sent_finds_nothing(api: Api) -> None:
    answer = _post(api).json()
    link = urlsplit(answer["content"]["body"].removeprefix("Hello ").partition(",")[0])
    other = base64.urlsafe_b64encode((1).to_bytes(32)).decode().rstrip("=")

    assert api.client.get(f"{link.path}?key={other}").status_code == 404

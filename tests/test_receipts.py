"""What GOV.UK Notify's delivery receipts do, whenever they come, and what becomes of posts that are none."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_govuk_notify_outbox import cadence, checks, models, moments, receipts, reports
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.statuses import TO_SEND, Status
from tests.conftest import MakeEmail
from tests.test_privacy import assert_no_mark, everything_logged

__all__ = ["everything_logged"]

pytestmark = [pytest.mark.urls("tests.receipt_urls"), pytest.mark.usefixtures("receipts_on")]

TOKEN = "receipts-of-the-tests"
PATH = "/notify/receipts/"
DELIVERED, SENT = Status.NOTIFY_DELIVERED, Status.SENT_TO_NOTIFY


@pytest.fixture
def receipts_on(settings: Settings) -> None:
    """A project that takes receipts with one token."""
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = [TOKEN]


def receipt_of(email: EmailMessage, **overrides: Any) -> dict[str, Any]:
    """What Notify posts about an email that was delivered; of one whose answer was lost, with an id of its own."""
    created_at = moments.aware(email.attempt_started_at or email.created_at).isoformat()
    values = {
        "id": str(email.notify_id or uuid.uuid4()),
        "reference": email.reference,
        "to": email.email_address,
        "status": "delivered",
        "created_at": created_at,
        "completed_at": created_at,
        "sent_at": created_at,
        "notification_type": "email",
        "template_id": email.template_id,
        "template_version": 1,
    }
    return values | overrides


def post(
    body: object, *, authorization: str | None = f"Bearer {TOKEN}", client: Client | None = None, **extra: Any
) -> Any:
    """The answer to a receipt, posted as Notify posts it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    extra = {"CONTENT_LENGTH": str(len(data))} | extra
    if authorization is not None:
        extra["HTTP_AUTHORIZATION"] = authorization
    return (client or Client()).post(PATH, data, content_type="application/json", **extra)


def row(email: EmailMessage) -> dict[str, Any]:
    return dict(EmailMessage.objects.filter(pk=email.pk).values()[0])


def events(email: EmailMessage) -> list[tuple[str, str, str, str, str]]:
    return list(email.events.values_list("kind", "outcome", "source", "previous_status", "status"))


def unclear(make_email: MakeEmail, status: Status = Status.RETRYING_SEND_TO_NOTIFY, **overrides: Any) -> EmailMessage:
    """An email whose last attempt has no answer, and may still be under way."""
    now = timezone.now()
    values = {"attempts": 1, "attempt_started_at": now, "unclear_until": now + dt.timedelta(seconds=130)}
    return make_email(status, **(values | overrides))


# --- A receipt about an email that Notify is known to have ---------------------------------------------------------


@pytest.mark.parametrize("before", [SENT, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING])
@pytest.mark.parametrize("word", ["delivered", "permanent-failure", "temporary-failure"])
def test_a_receipt_ends_the_email_at_once_and_is_an_event(make_email: MakeEmail, before: Status, word: str) -> None:
    email = make_email(before)
    answer = post(receipt_of(email, status=word))
    assert (answer.status_code, answer.content) == (204, b"")
    email.refresh_from_db()
    assert (email.status, email.due_at) == (f"notify-{word}", None)
    assert events(email) == [("report", "", "receipt", before, f"notify-{word}")]


@pytest.mark.parametrize("status", sorted(set(Status) - TO_SEND - {Status.FAILED_SEND_TO_NOTIFY}))
@pytest.mark.parametrize("word", ["created", "sending", "delivered", "permanent-failure", "technical-failure"])
def test_a_receipt_that_is_no_step_forward_changes_nothing(make_email: MakeEmail, status: Status, word: str) -> None:
    email = make_email(status)
    before = row(email)
    # Twice, and from whatever status: the second time nothing is left to do
    assert [post(receipt_of(email, status=word)).status_code for _ in range(2)] == [204, 204]
    steps = [SENT, "notify-created", "notify-sending"]
    if status in steps and f"notify-{word}" not in steps[: steps.index(status) + 1]:
        assert events(email) == [("report", "", "receipt", status, f"notify-{word}")]
        assert row(email)["status"] == f"notify-{word}"
    else:
        assert events(email) == []
        assert row(email) == before


def test_a_status_that_notify_may_add_one_day_is_kept_once_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    before = row(email)
    for _ in range(2):
        assert post(receipt_of(email, status="teleported")).status_code == 204
    assert row(email) == before
    assert list(email.events.values_list("notify_status", "source")) == [("teleported", "receipt")]


def test_a_receipt_that_a_look_up_overtakes_still_has_its_say(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email(SENT)
    record = reports.record_report

    def overtaken(*args: Any, **kwargs: Any) -> bool:
        # Between the reading of the row and its writing
        EmailMessage.objects.filter(status=SENT).update(status=Status.NOTIFY_SENDING)
        return record(*args, **kwargs)

    monkeypatch.setattr(reports, "record_report", overtaken)
    assert post(receipt_of(email)).status_code == 204
    assert events(email) == [("report", "", "receipt", "notify-sending", "notify-delivered")]


# --- A receipt about none of ours ----------------------------------------------------------------------------------


def test_a_receipt_for_an_email_of_another_system_is_taken_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    before = row(email)
    other = {"id": str(uuid.uuid4()), "reference": "theirs", "to": "somebody@example.com"}
    for values in (other, other | {"reference": None}, other | {"reference": "x" * 1000}):
        assert post(receipt_of(email, **values)).status_code == 204
    assert row(email) == before
    assert EmailMessageEvent.objects.count() == 0


def test_a_receipt_for_a_text_message_is_taken_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    before = row(email)
    values = receipt_of(email, notification_type="sms", to="07700900000", template_id=str(uuid.uuid4()))
    assert post(values).status_code == 204
    assert row(email) == before


def test_a_receipt_for_an_email_that_was_deleted_is_taken_and_changes_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    values = receipt_of(email)
    email.delete()
    assert post(values).status_code == 204
    assert EmailMessage.objects.count() == 0


# --- Who may post, and what ----------------------------------------------------------------------------------------


@pytest.fixture
def untouched(make_email: MakeEmail) -> Iterator[EmailMessage]:
    """An email that must be at the end what it was at the beginning."""
    email = make_email(SENT)
    before = row(email)
    yield email
    assert row(email) == before
    assert events(email) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_a_post_is_answered(untouched: EmailMessage, method: str) -> None:
    answer = Client().generic(method, PATH, json.dumps(receipt_of(untouched)), "application/json")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("token", [TOKEN, "nonsense"])
def test_a_receipt_that_a_redirect_has_turned_into_a_get_is_an_error_in_the_log(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Client().get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 405
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert told == ["A delivery receipt was lost on its way: something redirects the address that Notify has"] * (
        token == TOKEN
    )


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 403),
        ("Bearer ", 403),
        (TOKEN, 403),
        (f"Basic {TOKEN}", 403),
        (f"Bearer {TOKEN[:-1]}", 403),
        (f"Bearer {TOKEN}x", 403),
        (f"Bearer {TOKEN.upper()}", 403),
        (f"Bearer {TOKEN} {TOKEN}", 403),
        ("Bearer é\xff", 403),
    ],
)
def test_a_missing_or_wrong_token_is_refused(
    untouched: EmailMessage, caplog: pytest.LogCaptureFixture, authorization: str | None, status: int
) -> None:
    answer = post(receipt_of(untouched), authorization=authorization)
    assert answer.status_code == status
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert TOKEN not in caplog.text + answer.content.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_any_of_several_tokens_is_right_so_that_they_can_be_changed(
    make_email: MakeEmail, settings: Settings, scheme: str
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = ("the-new-token", "the-old-token")
    for token, status in {"the-new-token": 204, "the-old-token": 204, TOKEN: 403}.items():
        email = make_email(SENT)
        assert post(receipt_of(email), authorization=f"{scheme} {token}").status_code == status
        assert row(email)["status"] == (DELIVERED if status == 204 else SENT)


def test_all_tokens_are_compared_in_constant_time_whichever_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert receipts.is_allowed("Bearer first", ["first", "second"]) is True
    assert compared == [b"first", b"second"]


@pytest.mark.parametrize("tokens", [None, [], (), TOKEN, ["short"], [TOKEN, None]], ids=str)
def test_without_a_token_that_can_be_used_notify_is_told_to_come_again(
    untouched: EmailMessage, settings: Settings, caplog: pytest.LogCaptureFixture, tokens: object
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = tokens
    for authorization in (None, f"Bearer {TOKEN}", "Bearer ", "Bearer short"):
        assert post(receipt_of(untouched), authorization=authorization).status_code == 503
    told = [record for record in caplog.records if record.name == "django_govuk_notify_outbox.views"]
    assert {record.levelname for record in told} == {"ERROR"}
    assert "DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS" in told[0].getMessage()
    assert TOKEN not in caplog.text


def test_without_a_token_a_visitor_puts_nothing_into_the_log(
    client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = []
    assert client.get(reverse("django_govuk_notify_outbox:receipts")).status_code == 405
    assert [record for record in caplog.records if record.name == "django_govuk_notify_outbox.views"] == []


class Unread:
    """A body that nobody may read."""

    def read(self, *_args: object) -> bytes:
        raise AssertionError

    readline = read


@pytest.mark.parametrize(
    ("length", "status"),
    [("20001", 413), ("9" * 4000, 413), ("9" * 5000, 411), ("", 411), ("many", 411)],
    ids=lambda value: str(value)[:9],
)
def test_a_body_that_is_too_long_or_of_unknown_length_is_refused_before_it_is_read(
    untouched: EmailMessage, length: str, status: int
) -> None:
    extra: dict[str, Any] = {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    assert post(receipt_of(untouched), **extra).status_code == status


def test_the_longest_receipt_that_can_be_is_taken(make_email: MakeEmail) -> None:
    email = unclear(make_email, reference="\N{LOVE LETTER}" * models.MAX_REFERENCE_LENGTH, email_address="é" * 320)
    assert len(json.dumps(receipt_of(email))) > 14_000
    assert post(receipt_of(email)).status_code == 204
    assert row(email)["status"] == DELIVERED


MALFORMED = {
    "empty": b"",
    "no JSON": b"zaphod",
    "not UTF-8": b'{"id": "\xff"}',
    "deep": b"[" * 9_000,
    "a number": b"1",
    "a large number": b"9" * 9_000,
    "nothing": b"null",
    "a list": b"[]",
    "a text": b'"zaphod"',
    "an empty object": b"{}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_object_is_refused(
    untouched: EmailMessage, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    assert post(body).status_code == 400
    assert "A delivery receipt could not be read" in caplog.text
    assert_no_mark(caplog.text)


@pytest.mark.parametrize("name", ["id", "to", "status", "created_at", "notification_type", "template_id"])
@pytest.mark.parametrize("value", ["missing", None, 5, ["zaphod"], {}, "zaphod \ud800"], ids=ascii)
def test_a_field_that_is_missing_or_of_another_kind_is_refused_by_name(
    untouched: EmailMessage, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    values = receipt_of(untouched)
    if value == "missing":
        del values[name]
    else:
        values[name] = value
    answer = post(values)
    assert (answer.status_code, answer.content.decode()) == (400, f"It has no {name} that can be read.\n")
    assert f"It has no {name} that can be read." in caplog.text
    assert_no_mark(caplog.text)


@pytest.mark.parametrize(
    "values",
    [
        {"id": "zaphod"},
        {"template_id": "zaphod"},
        {"created_at": "yesterday"},
        {"created_at": ""},
        {"status": ""},
        {"status": "a\0b"},
        {"status": "x" * 256},
        {"reference": 5},
        {"reference": "\ud800"},
    ],
    ids=ascii,
)
def test_a_field_that_cannot_be_read_is_refused(untouched: EmailMessage, values: dict[str, object]) -> None:
    assert post(receipt_of(untouched, **values)).status_code == 400


def test_fields_that_notify_may_add_or_leave_out_one_day_harm_nothing(make_email: MakeEmail) -> None:
    email = make_email(SENT)
    values = receipt_of(email, onward={"x": [1]}, completed_at=None, sent_at=None)
    del values["template_version"], values["reference"]
    assert post(values).status_code == 204
    assert row(email)["status"] == DELIVERED


@pytest.mark.parametrize("path", ["/notify/receipts/", "/notify/receipts"])
def test_nothing_of_django_stands_in_the_way(make_email: MakeEmail, settings: Settings, path: str) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    email = make_email(SENT)
    answer = Client(enforce_csrf_checks=True).post(
        path, receipt_of(email), content_type="application/json", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert answer.status_code == 204
    assert row(email)["status"] == DELIVERED


def test_nothing_personal_is_logged(make_email: MakeEmail, everything_logged: Callable[[], str]) -> None:
    personal: dict[str, Any] = {"email_address": "zaphod.beeblebrox@example.com", "reference": "reset-9f8e7d"}
    email = unclear(make_email, **personal)
    for values in ({}, {"id": "beeblebrox"}, {"reference": "another-9f8e7d"}):
        post(receipt_of(email, **values))
    assert row(email)["status"] == DELIVERED
    assert_no_mark(everything_logged())
    receipt = receipts.parse(json.dumps(receipt_of(email)).encode())
    assert_no_mark(repr(receipt))


# --- The page about it ---------------------------------------------------------------------------------------------

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "receipts.md").read_text()


def block_of_page(file: str) -> str:
    """The block of Python in the page whose first line names this file."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [code] = [code for code in blocks if code.startswith(f"# {file}\n")]
    return code


def test_settings_and_urls_of_the_page_take_a_receipt_at_the_address_that_it_gives_to_notify(
    make_email: MakeEmail, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOVUK_NOTIFY_RECEIPT_TOKENS", "the-new-token the-old-token")
    written: dict[str, Any] = {"urlpatterns": []}
    exec(block_of_page("settings.py"), written)
    exec(block_of_page("urls.py"), written)
    urls = ModuleType("urls_of_the_page")
    urls.urlpatterns = written["urlpatterns"]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = written["DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS"]
    assert checks.check_settings(None) == checks.check_receipts(None) == []
    path = reverse("django_govuk_notify_outbox:receipts")
    assert f"https://www.example.gov.uk{path}`" in PAGE
    for token in ("the-new-token", "the-old-token"):
        assert post(receipt_of(make_email(SENT)), authorization=f"Bearer {token}").status_code == 204


def test_a_setup_that_is_well_answers_as_the_page_says() -> None:
    # As curl posts it
    answer = Client().post(
        PATH, b"{}", content_type="application/x-www-form-urlencoded", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert f'{answer.status_code}, "{answer.content.decode().strip()}"' in PAGE
    assert f"More than {receipts.MAX_SIZE:,} bytes" in PAGE
    assert "first after half an hour" in PAGE
    assert cadence.FIRST_WITH_RECEIPTS == 1800

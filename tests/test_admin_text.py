"""What the recipient saw: asked of Notify when somebody who may know wants to, and shown as text."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils.html import escape
from pytest_django import Settings

from django_govuk_notify_outbox import delivery, notify
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import Exchange, Text
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock, MakeEmail
from tests.desk import CONTENTS, PERMISSIONS, VIEW, html_of, logged_in, page, text_of, url_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def support(db: None) -> Client:
    return logged_in(VIEW, CONTENTS)


def test_the_text_that_notify_has_is_shown(
    support: Client, clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    email = make_email(personalisation={"name": "<b>Amala</b>"})
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert f'<a href="{url_of(email, "text")}">What the recipient saw</a>' in html_of(support, url_of(email))
    before = EmailMessage.objects.values().get()
    html = html_of(support, url_of(email, "text"))
    shown = notify.text_of(email.notify_id) if email.notify_id else None
    assert isinstance(shown, Text)
    assert "<b>Amala</b>" in shown.body
    for text in (shown.subject, shown.body):
        assert escape(text) in html
    assert "<b>Amala" not in html
    assert "This is what Notify has." in html
    assert EmailMessage.objects.values().get() == before
    assert (support.post(url_of(email, "text")).status_code, email.events.count()) == (405, 1)


def test_of_an_email_that_notify_does_not_have_its_template_is_filled_in(
    support: Client, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY, personalisation={"name": "Amala"})
    assert f'<a href="{url_of(email, "text")}">What the recipient would see</a>' in html_of(support, url_of(email))
    html = html_of(support, url_of(email, "text"))
    shown = notify.preview(defaults.TEMPLATE_ID, {"name": "Amala"})
    assert isinstance(shown, Text)
    assert shown.subject in html
    assert "Notify does not have this email. This is what its template makes of it today." in html
    assert sandbox.emails() == []


def test_what_notify_answers_instead_is_said_plainly(support: Client, sandbox: Sandbox, make_email: MakeEmail) -> None:
    unknown = make_email(Status.NOTIFY_DELIVERED)
    told = text_of(html_of(support, url_of(unknown, "text")))
    assert "Notify did not show it Notify does not have it any more. It deletes emails after 7 days" in told
    assert "HTTP 404 NoResultFound: No result found" in told
    incomplete = make_email(personalisation={})
    told = text_of(html_of(support, url_of(incomplete, "text")))
    assert "HTTP 400 BadRequestError: Missing personalisation: name" in told
    assert "any more" not in told


def test_a_notify_that_is_down_is_said_to_be(support: Client, settings: Settings, make_email: MakeEmail) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    for email in (make_email(), make_email(Status.NOTIFY_DELIVERED)):
        assert "No connection could be made." in html_of(support, url_of(email, "text"))
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = None
    assert "DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY is not set." in html_of(support, url_of(email, "text"))


@pytest.mark.parametrize("permissions", [(VIEW,), (CONTENTS,), (VIEW, *PERMISSIONS.values())], ids=str)
def test_those_who_may_not_see_contents_do_not(
    make_email: MakeEmail, permissions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: object) -> Text:
        raise AssertionError

    monkeypatch.setattr(notify, "preview", never)
    email = make_email()
    client = logged_in(*permissions)
    assert client.get(url_of(email, "text")).status_code == 403
    if VIEW in permissions:
        assert "What the recipient would see" not in page(client, email)


def test_of_an_email_that_is_not_there_there_is_no_text(support: Client, make_email: MakeEmail) -> None:
    email = make_email()
    url = url_of(email, "text")
    email.delete()
    assert support.get(url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_notify_is_asked(make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def preview(*_arguments: Any) -> Text:
        seen.append(connection.in_atomic_block)
        return Text(Exchange(), "subject", "body")

    monkeypatch.setattr(notify, "preview", preview)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    email = make_email()
    html_of(logged_in(VIEW, CONTENTS), url_of(email, "text"))
    assert seen == [False]

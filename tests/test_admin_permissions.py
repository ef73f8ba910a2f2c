"""Who sees what in the admin, and who may do what. What is hidden is nowhere in a page's HTML."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from django_govuk_notify_outbox import masking
from django_govuk_notify_outbox.events import News, build
from django_govuk_notify_outbox.masking import Sight, masked
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.operations import Operation
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import MakeEmail
from tests.desk import (
    CONTENTS,
    LIST,
    PERMISSIONS,
    VIEW,
    choose,
    do_url,
    html_of,
    listed,
    logged_in,
    page,
    text_of,
    url_of,
)

pytestmark = pytest.mark.django_db

Kind, Outcome, Source = EmailMessageEvent.Kind, EmailMessageEvent.Outcome, EmailMessageEvent.Source
REPLY_TO = str(uuid.UUID(int=7))
SECRETS = {
    "the recipient": "zaphod.beeblebrox@example.org",
    "a part of it": "beeblebrox",
    "the subject": "Your heart of gold",
    "personalisation": "improbability",
    "its keys": "drive_kind",
    "the reply-to address": REPLY_TO,
    "the unsubscribe URL": "unsubscribe-42",
    "what to sanitise": "towel_name",
    "Notify's message": "towel is not a date",
    "a traceback": "in vogon_poetry",
}


@pytest.fixture
def secretive(make_email: MakeEmail) -> EmailMessage:
    """An email full of secrets, which Notify refused with one more."""
    email = make_email(
        Status.FAILED_SEND_TO_NOTIFY,
        email_address=SECRETS["the recipient"],
        subject=SECRETS["the subject"],
        personalisation={SECRETS["its keys"]: SECRETS["personalisation"]},
        email_reply_to_id=REPLY_TO,
        one_click_unsubscribe_url=f"https://example.org/{SECRETS['the unsubscribe URL']}",
        sanitise_content_for=[SECRETS["what to sanitise"]],
    )
    add_error(email, 400, SECRETS["Notify's message"])
    return email


def add_error(email: EmailMessage, http_status: int | None, message: str) -> EmailMessageEvent:
    exchange = Exchange(
        http_status=http_status,
        error_type="ValidationError",
        message=message,
        exception="some.Error",
        traceback=f"Traceback {SECRETS['a traceback']}: {message}",
    )
    news = News(attempt=1, exchange=exchange)
    event = build(email, email.status, Kind.ATTEMPT, Source.SENDING, Outcome.REFUSED, news)
    event.save()
    return event


def found_in(html: str) -> set[str]:
    return {what for what, secret in SECRETS.items() if secret in html}


ALL_OPERATIONS = tuple(PERMISSIONS.values())


def pages(client: Client, email: EmailMessage, *, operations: bool) -> dict[str, str]:
    """The HTML of every page that somebody may look at."""
    found = {
        "list": html_of(client, LIST),
        "search": html_of(client, LIST, q=str(email.pk)),
        "popup": html_of(client, LIST, _popup="1"),
        "detail": html_of(client, url_of(email)),
        "history": html_of(client, url_of(email, "history")),
    }
    if operations:
        for each in Operation:
            found[f"{each} from the page"] = html_of(client, do_url(each), emails=str(email.pk), one="1")
            found[f"{each} from the list"] = choose(client, each, email).content.decode()
            response = client.post(do_url(each), {"emails": email.pk}, follow=True)
            found[f"{each}, done"] = response.content.decode()
        found["history afterwards"] = html_of(client, url_of(email, "history"))
        found["detail afterwards"] = html_of(client, url_of(email))
        found["front page"] = html_of(client, "/admin/")
    return found


@pytest.mark.parametrize("operations", [False, True], ids=["view", "view and operate"])
def test_without_the_permission_nothing_personal_is_in_any_page(secretive: EmailMessage, operations: bool) -> None:
    client = logged_in(VIEW, *(ALL_OPERATIONS if operations else ()))
    for name, html in pages(client, secretive, operations=operations).items():
        assert found_in(html) == set(), name


@pytest.mark.parametrize("is_superuser", [False, True], ids=["permission", "superuser"])
def test_with_the_permission_everything_is_shown(secretive: EmailMessage, is_superuser: bool) -> None:
    client = logged_in(*(() if is_superuser else (VIEW, CONTENTS)))
    User.objects.update(is_superuser=is_superuser)
    shown = pages(client, secretive, operations=is_superuser)
    assert found_in(shown["detail"]) == set(SECRETS)
    assert masking.HIDDEN not in shown["detail"]
    assert found_in(shown["list"]) == {"the recipient", "a part of it", "the subject", "Notify's message"}


def test_what_is_hidden_is_said_to_be_hidden(secretive: EmailMessage) -> None:
    client = logged_in(VIEW)
    told = page(client, secretive)
    assert "Recipient: z•••@e•••.org" in told
    for label in ("Subject", "Personalisation", "Reply-to address id", "One-click unsubscribe URL"):
        assert f"{label}: {masking.HIDDEN}" in told
    assert f"Sanitise content for: {masking.HIDDEN}" in told
    html = html_of(client, url_of(secretive))
    # Notify's message, and the traceback
    assert html.count(f"<pre>{masking.HIDDEN}</pre>") == 2
    row = text_of(html_of(client, LIST))
    assert f"{secretive.pk} Failed to send to Notify z•••@e•••.org Hidden" in row
    assert "Nothing: this is final Hidden " in row


def test_what_is_not_there_is_not_said_to_be_hidden(make_email: MakeEmail) -> None:
    email = make_email(personalisation=None)
    told = page(logged_in(VIEW), email)
    for label in ("Subject", "Personalisation", "Reply-to address id", "Sanitise content for"):
        assert f"{label}: - " in told
    assert masking.HIDDEN not in told
    assert f"{masking.masked(email.email_address)} - " in text_of(html_of(logged_in(VIEW, name="x"), LIST))


@pytest.mark.parametrize(
    ("http_status", "message", "is_shown"),
    [
        (400, "towel is not a date", False),
        (413, "towel is not a date", False),
        (422, "towel is not a date", False),
        (400, "Missing personalisation: date, name", True),
        (400, "Missing personalisation: date; towel is not a date", False),
        (400, "x Missing personalisation: towel", False),
        (403, "Invalid token", True),
        (429, "Exceeded rate limit", True),
        (500, "Internal server error", True),
        (None, "No answer came in time.", True),
    ],
    ids=str,
)
def test_what_notify_answered_is_hidden_where_it_may_quote_the_email(
    make_email: MakeEmail, http_status: int | None, message: str, is_shown: bool
) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY)
    event = add_error(email, http_status, message)
    client = logged_in(VIEW)
    # Without the traceback, which repeats it
    assert (message in html_of(client, url_of(email))) is is_shown
    assert (message in html_of(client, LIST)) is is_shown
    assert Sight(contents=False).message(event) == (message if is_shown else masking.HIDDEN)
    assert Sight(contents=True).message(event) == message


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("amala@example.com", "a•••@e•••.com"),
        (" Amala.Iyer@mail.service.gov.uk ", "A•••@m•••.uk"),
        ("a@b", "a•••@b•••"),
        ('"odd@local"@example.com', '"•••@e•••.com'),
        ("Amala Iyer", "A•••"),
        ("@example.com", "e•••"),
        ("amala@", "a•••@•••"),
        ("amala@example.com Siân Jones", "a•••@e•••"),
        ("amala@example.com, 07700 900123", "a•••@e•••"),
        ("amala@example.com\nSiân", "a•••@e•••"),
        ("Amala <amala@example.com>", "A•••@e•••"),
        ("amala@[192.0.2.17]", "a•••@[•••"),
        ("amala@example.", "a•••@e•••"),
        ("", "•••"),
    ],
)
def test_a_masked_address_tells_a_few_apart_without_saying_who_it_is(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_those_who_may_not_see_an_address_can_search_for_it(secretive: EmailMessage, make_email: MakeEmail) -> None:
    make_email()
    assert listed(logged_in(VIEW), q=SECRETS["the recipient"]) == [secretive.pk]


def test_a_row_shown_without_a_request_is_masked(secretive: EmailMessage) -> None:
    desk: Any = site.get_model_admin(EmailMessage)
    for name in ("recipient", "subject_line", "listed_subject", "personalisation_as_json", "timeline", "possible"):
        assert found_in(getattr(desk, name)(secretive)) == set()
    assert desk.belongs_to(secretive) == "-"


# --- Who may do what ---------------------------------------------------------------------------------------------

ROLES: dict[str, tuple[str, ...]] = {
    "view": (VIEW,),
    "contents": (VIEW, CONTENTS),
    "send-again": (VIEW, PERMISSIONS[Operation.SEND_AGAIN]),
    "check": (VIEW, PERMISSIONS[Operation.CHECK]),
    "stop": (VIEW, PERMISSIONS[Operation.STOP]),
    "operations without view": ALL_OPERATIONS,
}


def waiting(make_email: MakeEmail) -> dict[Operation, EmailMessage]:
    return {
        Operation.SEND_AGAIN: make_email(Status.FAILED_SEND_TO_NOTIFY),
        Operation.CHECK: make_email(Status.NOTIFY_SENDING, due_at=timezone.now() + dt.timedelta(hours=1)),
        Operation.STOP: make_email(),
    }


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("role", ROLES)
def test_each_thing_that_can_be_done_needs_its_permission(
    make_email: MakeEmail, role: str, operation: Operation
) -> None:
    email = waiting(make_email)[operation]
    before = EmailMessage.objects.values().get(pk=email.pk)
    client = logged_in(*ROLES[role])
    may = role == operation.value
    tries: dict[str, Callable[[], int]] = {
        "confirmation": lambda: client.get(do_url(operation), {"emails": email.pk}).status_code,
        "action": lambda: choose(client, operation, email).status_code,
        "everything": lambda: choose(client, operation, email, everything=True).status_code,
        "post": lambda: client.post(do_url(operation), {"emails": email.pk}).status_code,
    }
    expected = {"confirmation": 200, "action": 200, "everything": 200, "post": 302}
    assert {name: attempt() for name, attempt in tries.items()} == (expected if may else dict.fromkeys(tries, 403))
    is_changed = EmailMessage.objects.values().get(pk=email.pk) != before
    assert (is_changed, email.events.count()) == (may, int(may))


@pytest.mark.parametrize("role", ROLES)
def test_only_what_somebody_may_do_is_offered(make_email: MakeEmail, role: str) -> None:
    emails = waiting(make_email)
    client = logged_in(*ROLES[role])
    if VIEW not in ROLES[role]:
        assert client.get(LIST).status_code == client.get(url_of(emails[Operation.STOP])).status_code == 403
        return
    in_list = html_of(client, LIST)
    for operation, email in emails.items():
        may = role == operation.value
        assert (f'<option value="{operation.value}">' in in_list) is may
        assert (do_url(operation) in html_of(client, url_of(email))) is may
    assert "delete_selected" not in in_list


def test_who_may_do_nothing_is_told_so(make_email: MakeEmail) -> None:
    assert "What you can do: Look at it. To do more, you need a permission." in page(logged_in(VIEW), make_email())


def test_a_superuser_may_do_everything(admin_client: Client, make_email: MakeEmail) -> None:
    in_list = html_of(admin_client, LIST)
    emails = waiting(make_email)
    for operation, email in emails.items():
        assert f'<option value="{operation.value}">' in in_list or not in_list.count("<option")
        assert do_url(operation) in html_of(admin_client, url_of(email))
        assert admin_client.post(do_url(operation), {"emails": email.pk}).status_code == 302
        assert email.events.count() == 1


def test_an_action_cannot_be_done_from_another_site(make_email: MakeEmail) -> None:
    email = make_email()
    client = logged_in(VIEW, *ALL_OPERATIONS, enforce_csrf_checks=True)
    assert client.post(do_url(Operation.STOP), {"emails": email.pk}).status_code == 403
    assert choose(client, Operation.STOP, email).status_code == 403
    assert email.events.count() == 0


def test_those_who_are_not_of_the_staff_see_nothing(client: Client, make_email: MakeEmail) -> None:
    email = make_email()
    for url in (
        LIST,
        url_of(email),
        url_of(email, "text"),
        do_url(Operation.STOP),
        f"{do_url(Operation.STOP)}?emails=1",
    ):
        assert client.get(url).headers["Location"].startswith("/admin/login/")
    client.post(do_url(Operation.STOP), {"emails": email.pk})
    assert email.events.count() == 0

"""What the admin offers is there without a browser too: the same facts, the same operations, nothing personal."""

from __future__ import annotations

import datetime as dt
import getpass
import io
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, execute_from_command_line
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from pytest_django import Settings

import django_govuk_notify_outbox
from django_govuk_notify_outbox import delivery, holds, sync, timeline
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, Hold
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import Clock, MakeEmail, pushed
from tests.test_privacy import ADDRESS, MARKS, QUOTING, SECRET, assert_no_mark, new_email
from tests.test_retrying import SERVER_ERROR

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operating.md").read_text()
SECTION = PAGE.partition("\n## Without a browser\n")[2].split("\n## ")[0]
COMMANDS = sorted(
    path.stem.removeprefix("govuk_notify_outbox_")
    for path in (Path(django_govuk_notify_outbox.__file__).parent / "management" / "commands").glob("govuk_*.py")
)
OPERATIONS = ("send_again", "check", "stop")
MINUTE = dt.timedelta(minutes=1)

#: How the story of an email begins that Notify had an error with.
UNCLEAR = (
    "2026-11-22 12:00:00  Attempt 1: no clear answer, so Notify may have it. Internal server error. "
    "(HTTP 500 OperationalError, 0.12 seconds, status retrying-send-to-notify)"
)
NOBODY = "12345678-1234-4234-8234-123456789012"


def ran(name: str, *arguments: object) -> tuple[int, list[str]]:
    """Exit status and lines of output of a command."""
    out = io.StringIO()
    status = 0
    try:
        call_command(f"govuk_notify_outbox_{name}", *map(str, arguments), stdout=out)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, out.getvalue().splitlines()


def told(name: str, *arguments: object) -> Any:
    """What a command prints as JSON."""
    return json.loads("\n".join(ran(name, *arguments, "--json")[1]))


def refusal(name: str, *arguments: object) -> str:
    """The error that a command ends with, which is printed on standard error with exit status 1."""
    with pytest.raises(CommandError) as raised:
        ran(name, *arguments)
    return str(raised.value)


def everything() -> list[list[dict[str, Any]]]:
    """All that is in the database, and what waits in the broker."""
    rows = [list(model.objects.order_by("pk").values()) for model in (EmailMessage, EmailMessageEvent, Hold)]
    return [*rows, pushed()]


# --- What needs attention -------------------------------------------------------------------------------------------


def test_what_needs_attention_is_listed_newest_first_a_line_each(clock: Clock, make_email: MakeEmail) -> None:
    failed = make_email(Status.FAILED_SEND_TO_NOTIFY, pk=901, attempts=8, created_at=clock.now - dt.timedelta(days=2))
    refused = make_email(Status.FAILED_SEND_TO_NOTIFY, pk=902, created_at=clock.now - dt.timedelta(days=1))
    bounced = make_email(Status.NOTIFY_PERMANENT_FAILURE, pk=903)
    due_at = clock.now - 6 * MINUTE
    overdue = make_email(Status.RETRYING_SEND_TO_NOTIFY, pk=904, created_at=due_at, due_at=due_at)
    make_email(Status.NOTIFY_DELIVERED, pk=905)
    make_email(pk=906)
    for email, error in (
        (failed, {"http_status": 500, "error_type": "OperationalError"}),
        (failed, {}),
        (refused, {"http_status": 400, "error_type": "BadRequestError", "message": SECRET}),
        (overdue, {"http_status": 502}),
    ):
        email.events.create(
            kind="attempt",
            outcome="try-later",
            source="sending",
            previous_status=email.status,
            status=email.status,
            exception="notifications_python_client.errors.HTTP503Error",
            **error,
        )
    overdue.events.create(kind="question", source="look-up", previous_status=overdue.status, status=overdue.status)
    final, late = "Nothing: this is final", "Send it to Notify, overdue since 2026-11-22 11:54:00"
    assert ran("attention") == (
        0,
        [
            "Email  Status                    Created              Attempts  Last error       Next step",
            f"903    notify-permanent-failure  2026-11-22 12:00:00  1         -                {final}",
            f"904    retrying-send-to-notify   2026-11-22 11:54:00  1         HTTP 502         {late}",
            f"902    failed-send-to-notify     2026-11-21 12:00:00  1         BadRequestError  {final}",
            f"901    failed-send-to-notify     2026-11-20 12:00:00  8         no answer        {final}",
            "",
            "4 emails need attention. Times are those of Europe/London.",
        ],
    )
    assert [email["pk"] for email in told("attention")["emails"]] == [bounced.pk, overdue.pk, refused.pk, failed.pk]
    assert told("attention", "--limit", 2) == {
        "emails": [
            {
                "pk": 903,
                "status": "notify-permanent-failure",
                "created_at": "2026-11-22T12:00:00+00:00",
                "attempts": 1,
                "last_error": "",
                "next_step": final,
                "due_at": None,
                "overdue": False,
            },
            {
                "pk": 904,
                "status": "retrying-send-to-notify",
                "created_at": "2026-11-22T11:54:00+00:00",
                "attempts": 1,
                "last_error": "HTTP 502",
                "next_step": "Send it to Notify",
                "due_at": "2026-11-22T11:54:00+00:00",
                "overdue": True,
            },
        ],
        "more": True,
    }


def test_a_list_that_is_cut_off_says_so(make_email: MakeEmail) -> None:
    for _ in range(3):
        make_email(Status.NOTIFY_TEMPORARY_FAILURE)
    assert len(ran("attention", "--limit", 3)[1]) == 6
    assert ran("attention", "--limit", 3)[1][-1].startswith("3 emails need attention.")
    assert len(ran("attention", "--limit", 2)[1]) == 5
    assert ran("attention", "--limit", 2)[1][-1].startswith("These are the newest 2; there are more.")
    for limit in ("0", "-1", "x", "9" * 30):
        assert "it must be a whole number above 0" in refusal("attention", f"--limit={limit}")


def test_when_nothing_needs_attention_that_is_said(make_email: MakeEmail) -> None:
    assert ran("attention") == (0, ["No email needs attention."])
    assert told("attention") == {"emails": [], "more": False}
    make_email(Status.NOTIFY_TECHNICAL_FAILURE)
    assert ran("attention")[1][-1].startswith("One email needs attention.")


def test_a_wrong_setting_is_named_as_the_last_error(clock: Clock, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = None
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SEND_TO_NOTIFY_RETRY_INTERVALS = []
    delivery.deliver(new_email().pk)
    assert [email["last_error"] for email in told("attention")["emails"]] == ["ImproperlyConfigured"]


# --- One email's story ----------------------------------------------------------------------------------------------


def test_an_emails_story_is_told_in_order(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Zaphod"}, reference="case 17")
    delivery.deliver(email.pk)
    email.events.update(duration=0.123)
    assert ran("show", email.pk) == (
        0,
        [
            f"Email {email.pk}: retrying-send-to-notify",
            "",
            "Recipient:   z•••@e•••.com",
            f"Template:    {defaults.TEMPLATE_ID}",
            "Reference:   case 17",
            "Notify id:   -",
            "Attempts:    1",
            "Next step:   Ask Notify whether it has it, 2026-11-22 12:00:05",
            "",
            "2026-11-22 12:00:00  Created.",
            UNCLEAR,
            "",
            "Times are those of Europe/London.",
        ],
    )
    clock.move(5)
    assert ran("check", email.pk, "--by", "Amala")[0] == 1
    sync.run()
    clock.move(5)
    sync.run()
    assert ran("show", email.pk)[1][9:] == [
        "2026-11-22 12:00:00  Created.",
        UNCLEAR,
        "2026-11-22 12:00:05  Asked Notify, which does not have it. (HTTP 200)",
        "2026-11-22 12:00:05  Attempt 2: Notify accepted it. (HTTP 201, status sent-to-notify)",
        "2026-11-22 12:00:10  Notify delivered it. (HTTP 200, status notify-delivered)",
        "",
        "Times are those of Europe/London.",
    ]


def test_a_very_long_story_is_told_by_its_ends(clock: Clock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "FIRST", 1)
    monkeypatch.setattr(timeline, "NEWEST", 1)
    sandbox.add_fault(**SERVER_ERROR)
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(5)
    sync.run()
    assert email.events.count() == 3
    _, lines = ran("show", email.pk)
    created, first, between, newest = [line for line in lines if re.match("2026|…", line)]
    assert created.endswith("Created.")
    assert "Attempt 1: no clear answer" in first
    assert between == "… 1 more …"
    assert "Attempt 2: Notify accepted it." in newest


def test_an_emails_story_is_told_as_json(clock: Clock, make_email: MakeEmail) -> None:
    email = make_email(Status.NOTIFY_SENDING, reference="case 17", due_at=clock.now + MINUTE)
    assert ran("check", email.pk, "--by", "Amala")[0] == 0
    facts = {
        "pk": email.pk,
        "status": "notify-sending",
        "recipient": "a•••@e•••.com",
        "template_id": defaults.TEMPLATE_ID,
        "reference": "case 17",
        "notify_id": str(email.notify_id),
        "attempts": 1,
        "stopped": False,
        "created_at": "2026-11-22T12:00:00+00:00",
        "requested_at": "2026-11-22T12:00:00+00:00",
        "sent_at": "2026-11-22T12:00:00+00:00",
        "status_changed_at": "2026-11-22T12:00:00+00:00",
        "next_step": "Ask Notify what became of it",
        "due_at": "2026-11-22T12:00:00+00:00",
        "overdue": True,
    }
    event = {
        "at": "2026-11-22T12:00:00+00:00",
        "text": "Amala had Notify asked about it.",
        "message_left_out": False,
        "kind": "checked",
        "outcome": "",
        "previous_status": "notify-sending",
        "status": "notify-sending",
        "source": "person",
        "person": "Amala",
        "notify_status": "",
        "attempt": None,
        "http_status": None,
        "error_type": "",
        "exception": "",
        "seconds": None,
    }
    assert told("show", email.pk) == {**facts, "events": [event]}
    assert told("show", email.pk, "--contents") == {
        **facts,
        "recipient": "amala@example.com",
        "events": [{**event, "traceback": ""}],
        "email_reply_to_id": "",
        "subject": "",
        "personalisation": {"name": "Amala"},
        "one_click_unsubscribe_url": "",
        "sanitise_content_for": "",
    }


def test_what_an_email_says_is_shown_to_those_who_ask_for_it(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(status=400, body=QUOTING)
    email = new_email(
        personalisation={"name": SECRET, "file": "x" * 3000},
        one_click_unsubscribe_url="https://example.com/9f8e7d",
        reference="case 17",
    )
    delivery.deliver(email.pk)
    EmailMessage.objects.update(subject="Dear Zaphod")
    how = "(HTTP 400 ValidationError, status failed-send-to-notify)"
    assert ran("show", email.pk, "--contents")[1] == [
        f"Email {email.pk}: failed-send-to-notify",
        "",
        f"Recipient:   {ADDRESS}",
        f"Template:    {defaults.TEMPLATE_ID}",
        "Reference:   case 17",
        "Notify id:   -",
        "Attempts:    1",
        "Next step:   Nothing: this is final",
        "Subject:     Dear Zaphod",
        "Reply-to:    -",
        "Unsubscribe: https://example.com/9f8e7d",
        "Personalisation:",
        "{",
        f'  "name": "{SECRET}",',
        f'  "file": "{"x" * 2000}… (3000 characters)"',
        "}",
        "",
        "2026-11-22 12:00:00  Created.",
        f"2026-11-22 12:00:00  Attempt 1: Notify refused it. personalisation [{SECRET}] is not of type object. {how}",
        "",
        "Times are those of Europe/London.",
    ]
    as_json = told("show", email.pk, "--contents")
    assert as_json["personalisation"] == {"name": SECRET, "file": "x" * 3000}
    assert SECRET in as_json["events"][0]["traceback"]
    assert ran("show", email.pk)[1][9:] == [
        "2026-11-22 12:00:00  Created.",
        "2026-11-22 12:00:00  Attempt 1: Notify refused it. (HTTP 400 ValidationError, status failed-send-to-notify)",
        "",
        "Times are those of Europe/London.",
        "Messages of Notify's that may quote the email are left out: --contents shows them.",
    ]
    # Only what was shown was left out
    assert email.events.get().message == f"personalisation [{SECRET}] is not of type object"


def test_which_placeholders_are_missing_is_told_to_everybody(clock: Clock, sandbox: Sandbox) -> None:
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID)
    delivery.deliver(email.pk)
    assert "Attempt 1: Notify refused it. Missing personalisation: name. " in "\n".join(ran("show", email.pk)[1])


def test_a_request_without_an_answer_is_told_as_such(clock: Clock, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
    email = new_email()
    delivery.deliver(email.pk)
    assert ran("show", email.pk)[1][10] == (
        "2026-11-22 12:00:00  Attempt 1: Notify did not take it. No connection could be made. "
        "(no answer, status retrying-send-to-notify)"
    )


def test_an_email_is_found_by_its_number_its_notify_id_and_its_reference(make_email: MakeEmail) -> None:
    email = make_email(Status.SENT_TO_NOTIFY, reference="Case 17")
    # A number is an email's before it is a reference
    make_email(reference=str(email.pk))
    for text in (str(email.pk), str(email.notify_id), str(email.notify_id).upper(), "Case 17"):
        assert told("show", text)["pk"] == email.pk
    by_digits = make_email(reference="9" * 30)
    assert told("show", "9" * 30)["pk"] == by_digits.pk
    by_uuid = make_email(reference=NOBODY)
    assert told("show", NOBODY)["pk"] == by_uuid.pk


@pytest.mark.parametrize("text", ["0", "9" * 18, "9" * 5000, NOBODY, "case 17", "Case 1", ADDRESS, "²", ""])
def test_what_is_no_email_is_refused_without_being_quoted(make_email: MakeEmail, text: str) -> None:
    make_email(reference="Case 17", email_address=ADDRESS)
    assert refusal("show", text) == "No email has this number, Notify id or reference."


def test_what_no_database_can_be_asked_for_is_refused() -> None:
    assert refusal("show", "a\udc80") == (
        "Error: argument PK: it contains half of a surrogate pair, which cannot be stored."
    )


def test_a_reference_of_several_emails_names_them(make_email: MakeEmail) -> None:
    numbers = [make_email(reference="batch").pk for _ in range(3)]
    named = ", ".join(map(str, numbers))
    assert refusal("show", "batch") == f"Several emails have this reference: {named}. Name one by its number."
    for _ in range(18):
        make_email(reference="batch")
    assert " and more. Name one" in refusal("show", "batch")


def test_what_would_steer_a_terminal_is_not_printed(make_email: MakeEmail) -> None:
    email = make_email(reference="a\nb\x1b[2J\u202e\tc", email_address="a\x1b@example.com")
    printed = ran("show", email.pk, "--contents")[1]
    assert printed[2] == "Recipient:   a\ufffd@example.com"
    assert printed[4] == "Reference:   a b\ufffd[2J\ufffd c"


# --- What people do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(clock: Clock, make_email: MakeEmail, name: str) -> None:
    emails = [make_email(status) for status in Status]
    before = everything()
    numbers = [email.pk for email in emails]
    status, lines = ran(name, *numbers, "--dry-run", "--by", "Amala")
    as_json = told(name, *numbers, "--dry-run", "--by", "Amala")
    assert everything() == before
    assert status == 1
    assert lines[0] == "Dry run: nothing is changed."
    assert as_json == {**as_json, "operation": name.replace("_", "-"), "dry_run": True, "by": "Amala"}
    foreseen = as_json["emails"]
    assert lines[1:] == [
        f"Email {each['pk']}: {'skipped. ' if each['skipped'] else ''}{each['text']}" for each in foreseen
    ]
    # And it was true
    assert told(name, *numbers, "--by", "Amala") == {**as_json, "dry_run": False}
    acted = {each["pk"] for each in foreseen if not each["skipped"]}
    assert acted
    assert set(EmailMessageEvent.objects.values_list("email_message", "person")) == {(pk, "Amala") for pk in acted}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("eager_tasks")
def test_an_email_that_failed_is_sent_again(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(status=400, body=QUOTING)
    failed = new_email(personalisation={"name": "Amala"})
    failed.refresh_from_db()
    assert failed.status == Status.FAILED_SEND_TO_NOTIFY
    assert ran("send_again", failed.pk, "--by", "Amala") == (
        0,
        [f"Email {failed.pk}: It is sent again, with all its retries."],
    )
    assert [accepted["email_address"] for accepted in sandbox.emails()] == [ADDRESS]
    clock.move(5)
    assert ran("sync")[0] == 0
    failed.refresh_from_db()
    assert failed.status == Status.NOTIFY_DELIVERED
    assert ran("show", failed.pk)[1][-7:] == [
        "2026-11-22 12:00:00  Attempt 1: Notify refused it. (HTTP 400 ValidationError, status failed-send-to-notify)",
        "2026-11-22 12:00:00  Amala had it sent again. (status sending-to-notify)",
        "2026-11-22 12:00:00  Attempt 1: Notify accepted it. (HTTP 201, status sent-to-notify)",
        "2026-11-22 12:00:05  Notify delivered it. (HTTP 200, status notify-delivered)",
        "",
        "Times are those of Europe/London.",
        "Messages of Notify's that may quote the email are left out: --contents shows them.",
    ]
    assert ran("send_again", failed.pk) == (1, [f"Email {failed.pk}: skipped. It was delivered."])
    assert len(sandbox.emails()) == 1


def test_without_a_broker_an_email_is_sent_again_by_sync(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    failed = make_email(Status.FAILED_SEND_TO_NOTIFY)
    assert ran("send_again", failed.pk)[0] == 0
    assert sandbox.emails() == []
    sync.run()
    assert len(sandbox.emails()) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_again_is_handed_to_workers(make_email: MakeEmail) -> None:
    emails = [make_email(Status.FAILED_SEND_TO_NOTIFY) for _ in range(2)]
    delivered = make_email(Status.NOTIFY_DELIVERED)
    assert ran("send_again", *(email.pk for email in emails), delivered.pk, emails[0].pk) == (
        1,
        [
            f"Email {emails[0].pk}: It is sent again, with all its retries.",
            f"Email {emails[1].pk}: It is sent again, with all its retries.",
            f"Email {delivered.pk}: skipped. It was delivered.",
        ],
    )
    assert [message.payload[0] for message in pushed()] == [[email.pk for email in emails]]


def test_an_email_that_is_stopped_is_not_sent(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    email = make_email()
    assert ran("stop", email.pk, "--by", "Amala") == (0, [f"Email {email.pk}: It will not be sent."])
    sync.run()
    assert sandbox.requests() == []
    assert told("show", email.pk)["events"][0]["text"] == "Amala stopped it, so it is not sent."
    assert ran("stop", email.pk) == (1, [f"Email {email.pk}: skipped. It is not being sent any more."])


def test_notify_is_asked_by_the_next_sync(clock: Clock, sandbox: Sandbox) -> None:
    email = new_email()
    delivery.deliver(email.pk)
    clock.move(4)
    assert ran("check", email.pk, "--by", "Amala") == (
        0,
        [f"Email {email.pk}: Notify is asked what became of it, within seconds."],
    )
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_number_that_no_email_has_is_skipped_and_the_others_are_not(make_email: MakeEmail, name: str) -> None:
    retrying = {"send_again": Status.FAILED_SEND_TO_NOTIFY, "check": Status.NOTIFY_SENDING}
    email = make_email(retrying.get(name, Status.SENDING_TO_NOTIFY))
    for options in (["--dry-run"], []):
        status, lines = ran(name, 0, email.pk, *options)
        assert status == 1
        assert lines[-2] == "Email 0: skipped. There is no such email."
        assert not lines[-1].startswith(f"Email {email.pk}: skipped.")
    assert ran(name, email.pk, "--dry-run")[0] in {0, 1}
    assert email.events.count() == 1


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("text", [ADDRESS, "1.0", "²", "9" * 5000, "", "12,13"], ids=lambda text: text[:6])
def test_a_text_that_is_no_number_is_refused_before_anything_is_done(
    make_email: MakeEmail, name: str, text: str
) -> None:
    email = make_email()
    before = everything()
    error = refusal(name, email.pk, text)
    assert error == "Error: argument PK: it is not the number of an email. Nothing was done."
    assert everything() == before


def test_an_argument_that_is_wrong_is_told_on_standard_error_with_exit_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", "govuk_notify_outbox_stop", "12", ADDRESS])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.endswith("error: argument PK: it is not the number of an email. Nothing was done.\n")
    assert_no_mark(printed.err)


def test_an_operation_needs_a_number() -> None:
    for name in OPERATIONS:
        assert refusal(name) == "Error: the following arguments are required: PK"


def test_who_asks_is_the_operating_systems_user(make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "amala")
    email = make_email()
    ran("stop", email.pk)
    assert email.events.get().person == "amala"


def _no_name() -> str:
    raise OSError("No username set in the environment")


@pytest.mark.parametrize("user", [_no_name, lambda: " ", lambda: "a\udc80", lambda: "a" * 256])
def test_a_user_without_a_name_is_manage_py(make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch, user: Any) -> None:
    monkeypatch.setattr(getpass, "getuser", user)
    assert told("stop", make_email().pk)["by"] == "manage.py"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (" ", "it must not be blank."),
        ("a" * 256, "it must be at most 255 characters long; it has 256."),
        ("a\0", "it contains a NUL character, which cannot be stored."),
    ],
    ids=["blank", "long", "nul"],
)
def test_a_name_that_cannot_be_stored_is_refused(make_email: MakeEmail, name: str, error: str) -> None:
    email = make_email()
    assert refusal("stop", email.pk, "--by", name) == f"Error: argument --by: {error}"
    assert email.events.count() == 0


# --- Sync -----------------------------------------------------------------------------------------------------------


def test_a_run_of_sync_says_what_was_due_and_is(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    assert ran("sync") == (
        0,
        ["Done.", "Due to be sent:      0 before, 0 after", "Due to be looked up: 0 before, 0 after"],
    )
    make_email()
    make_email()
    new = new_email()
    delivery.deliver(new.pk)
    clock.move(5)
    assert ran("sync") == (
        0,
        ["Done.", "Due to be sent:      2 before, 0 after", "Due to be looked up: 1 before, 0 after"],
    )
    new.refresh_from_db()
    assert new.status == Status.NOTIFY_DELIVERED
    assert len(sandbox.emails()) == 3
    make_email()
    nothing = {"number": 0, "or_more": False, "oldest_seconds": None}
    assert told("sync") == {
        "ran": True,
        "due_before": {"send": {"number": 1, "or_more": False, "oldest_seconds": 0.0}, "look_up": nothing},
        "due_after": {"send": nothing, "look_up": nothing},
        "sending_held": False,
    }


def test_a_run_of_sync_says_that_sending_is_held(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    sandbox.add_fault(status=429)
    make_email()
    held = "Sending is held for some seconds: Notify limited us, or did not take our key."
    assert ran("sync")[1][1:] == [
        "Due to be sent:      1 before, 0 after",
        "Due to be looked up: 0 before, 0 after",
        held,
    ]
    assert ran("sync", "--dry-run")[1][-1] == held


def test_a_dry_run_of_sync_says_what_is_due_and_changes_nothing(
    clock: Clock, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    make_email()
    make_email(Status.NOTIFY_SENDING, due_at=clock.now - MINUTE)
    make_email(Status.NOTIFY_SENDING, due_at=clock.now + MINUTE)
    before = everything()
    assert ran("sync", "--dry-run") == (
        0,
        [
            "Dry run: nothing is changed.",
            "Due to be sent:      1, the oldest for 0 seconds",
            "Due to be looked up: 1, the oldest for 60 seconds",
        ],
    )
    assert told("sync", "--dry-run") == {
        "dry_run": True,
        "due": {
            "send": {"number": 1, "or_more": False, "oldest_seconds": 0.0},
            "look_up": {"number": 1, "or_more": False, "oldest_seconds": 60.0},
        },
        "sending_held": False,
        "other_run": False,
    }
    assert everything() == before
    assert sandbox.requests() == []


def test_while_another_run_is_at_work_there_is_none(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    make_email()
    assert holds.Lease(holds.SYNC, seconds=70).take()
    at_work = "Another run of sync is at work. It does what is due."
    assert ran("sync") == (1, [at_work])
    nothing = {"number": 0, "or_more": False, "oldest_seconds": None}
    due = {"send": {"number": 1, "or_more": False, "oldest_seconds": 0.0}, "look_up": nothing}
    assert told("sync") == {"ran": False, "due_before": due}
    status, lines = ran("sync", "--dry-run")
    assert (status, lines[-1]) == (1, at_work)
    assert told("sync", "--dry-run")["other_run"] is True
    assert sandbox.requests() == []


# --- All of them ----------------------------------------------------------------------------------------------------


def test_no_command_prints_anything_personal(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(status=400, body=QUOTING)
    sandbox.add_fault(status=413, body=QUOTING)
    sandbox.add_fault(status=422, body=QUOTING)
    sandbox.add_fault(status=201, body=f"{ADDRESS} {SECRET}")
    emails = [new_email(one_click_unsubscribe_url=f"https://example.com/{SECRET}") for _ in range(5)]
    for email in emails:
        delivery.deliver(email.pk)
    EmailMessage.objects.update(subject=f"Dear {SECRET}")
    printed = []
    for options in ([], ["--json"]):
        printed += ran("attention", *options)[1]
        for email in emails:
            for name in ("show", *OPERATIONS):
                printed += ran(name, email.pk, *options)[1]
        printed += ran("sync", *options)[1]
    assert "ValidationError" in "".join(printed)
    assert_no_mark("\n".join(printed))
    shown = "\n".join(ran("show", emails[0].pk, "--contents")[1])
    assert all(mark in shown.lower() for mark in MARKS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "health"])
def test_a_database_that_does_not_answer_is_told_without_its_address(name: str) -> None:
    host = f"db-{uuid.uuid4()}.example.com"

    def fail(*args: Any) -> None:
        raise OperationalError(f"could not connect to {host}")

    arguments = ["1"] if name in {*OPERATIONS, "show"} else []
    with connection.execute_wrapper(fail):
        assert refusal(name, *arguments) == "The database did not answer: OperationalError."


def test_a_setting_that_is_wrong_is_told(make_email: MakeEmail, settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = "many"
    make_email()
    assert "DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS" in refusal("sync")


def test_moments_of_a_project_without_time_zones_are_told_too(make_email: MakeEmail, settings: Settings) -> None:
    settings.USE_TZ = False
    email = make_email(created_at=dt.datetime(2026, 7, 1, 12, 30))  # noqa: DTZ001  # as such a project stores it
    assert "2026-07-01 12:30:00  Created." in ran("show", email.pk)[1]
    assert told("show", email.pk)["created_at"] == "2026-07-01T11:30:00+00:00"


# --- The documentation ----------------------------------------------------------------------------------------------


def test_the_page_has_a_row_and_an_example_for_each_command() -> None:
    rows = re.findall(r"^\| `govuk_notify_outbox_(\w+)", SECTION, flags=re.MULTILINE)
    assert sorted([*rows, "health"]) == COMMANDS
    assert {command for command, _arguments, _text in EXAMPLES} == set(rows)


EXAMPLES = re.findall(
    r"```sh\npython manage.py govuk_notify_outbox_(\w+) ?([^\n]*)\n```\n+```text\n(.*?)```", SECTION, flags=re.DOTALL
)


def test_the_examples_of_the_page_print_what_it_says(clock: Clock, sandbox: Sandbox, make_email: MakeEmail) -> None:
    clock.move(-40 * 60)
    refused = make_email(Status.FAILED_SEND_TO_NOTIFY, pk=1041, reference="appointment-17")
    attempt = {
        "kind": "attempt",
        "attempt": 1,
        "source": "sending",
        "previous_status": "sending-to-notify",
        "exception": "notifications_python_client.errors.HTTPError",
        "duration": 0.0812,
    }
    refused.events.create(
        outcome="refused",
        status="failed-send-to-notify",
        http_status=400,
        error_type="BadRequestError",
        message="Missing personalisation: date",
        **attempt,
    )
    clock.move(20 * 60)
    make_email(Status.NOTIFY_PERMANENT_FAILURE, pk=1042)
    clock.move(12 * 60)
    unclear = {"unclear_until": clock.now, "due_at": clock.now + MINUTE}
    tried = make_email(Status.RETRYING_SEND_TO_NOTIFY, pk=1043, **unclear)
    tried.events.create(outcome="unclear", status="retrying-send-to-notify", http_status=502, **attempt)
    clock.move(8 * 60)
    later = clock.now + MINUTE
    make_email(Status.NOTIFY_SENDING, pk=1044, due_at=later)
    make_email(pk=1045, due_at=later)
    for command, arguments, text in EXAMPLES:
        _status, lines = ran(command, *arguments.split())
        assert lines == text.splitlines(), command
    assert len(sandbox.emails()) == 2

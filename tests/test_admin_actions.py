"""What people do to emails in the admin: told before what would happen, done once confirmed, and reported."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from django_govuk_notify_outbox import admin_actions, delivery
from django_govuk_notify_outbox.admin import EmailMessageAdmin
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.operations import Operation
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import ADDRESS, Clock, MakeEmail, pushed
from tests.desk import LIST, PERMISSIONS, VIEW, choose, do_url, html_of, logged_in, messages_of, page, text_of, url_of

pytestmark = pytest.mark.django_db

LATER = dt.timedelta(hours=1)
#: For each operation, a status for which it makes sense, what it says, and a status for which it does not.
CASES = {
    Operation.SEND_AGAIN: (
        Status.FAILED_SEND_TO_NOTIFY,
        "It is sent again, with all its retries.",
        Status.NOTIFY_DELIVERED,
        "It was delivered.",
    ),
    Operation.CHECK: (
        Status.NOTIFY_SENDING,
        "Notify is asked what became of it, within seconds.",
        Status.NOTIFY_DELIVERED,
        "What became of it is known.",
    ),
    Operation.STOP: (
        Status.SENDING_TO_NOTIFY,
        "It will not be sent.",
        Status.SENT_TO_NOTIFY,
        "Notify has it, and takes nothing back.",
    ),
}
NAMES = {Operation.SEND_AGAIN: "Send again", Operation.CHECK: "Check status now", Operation.STOP: "Stop trying"}


@pytest.fixture
def operator() -> Client:
    return logged_in(VIEW, *PERMISSIONS.values(), name="olu")


@pytest.mark.parametrize("operation", Operation)
def test_what_is_chosen_in_the_list_is_confirmed_then_done_then_reported(
    operator: Client, make_email: MakeEmail, operation: Operation
) -> None:
    good, does, bad, why = CASES[operation]
    done = [make_email(good) for _ in range(2)]
    skipped = make_email(bad)
    untouched = make_email(good)
    before = list(EmailMessage.objects.order_by("pk").values())

    confirmation = choose(operator, operation, *done, skipped, query="?status__exact=whatever").content.decode()
    assert list(EmailMessage.objects.order_by("pk").values()) == before
    confirmation = choose(operator, operation, *done, skipped).content.decode()
    assert list(EmailMessage.objects.order_by("pk").values()) == before
    told = text_of(confirmation)
    assert f"{NAMES[operation]}: 3 emails" in told
    assert f"What will happen 2 emails: {does}" in told
    assert f"What will be skipped 1 email: {why}" in told
    for email in done:
        assert f"{email.pk} {email.get_status_display()} {does}" in told
    assert f"{skipped.pk} {skipped.get_status_display()} Skipped: {why}" in told
    assert ADDRESS not in confirmation

    pks = ",".join(str(email.pk) for email in (skipped, *done))
    response = operator.post(do_url(operation), {"emails": pks}, follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert messages_of(response) == [
        f"{NAMES[operation]}: 2 emails: {does}",
        f"{NAMES[operation]}: skipped 1 email: {why}",
    ]
    assert set(EmailMessageEvent.objects.values_list("email_message_id", "person")) == {
        (email.pk, "olu") for email in done
    }
    entries = LogEntry.objects.order_by("pk")
    assert [(int(each.object_id or 0), each.change_message) for each in entries] == [
        (email.pk, f"{NAMES[operation]}: {does}") for email in done
    ]
    assert {each.user.get_username() for each in entries} == {"olu"}
    assert EmailMessage.objects.values().get(pk=untouched.pk) == before[-1]


def test_an_email_sent_again_from_its_page_goes_out(
    operator: Client,
    clock: Clock,
    make_email: MakeEmail,
    sandbox: Sandbox,
    django_capture_on_commit_callbacks: object,
) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY)
    link = f"{do_url(Operation.SEND_AGAIN)}?emails={email.pk}&amp;one=1"
    assert f'<a href="{link}">Send again</a>' in html_of(operator, url_of(email))
    confirmation = html_of(operator, do_url(Operation.SEND_AGAIN), emails=str(email.pk), one="1")
    assert f'<a href="{url_of(email)}">No, go back</a>' in confirmation
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # a fixture of pytest-django
        response = operator.post(do_url(Operation.SEND_AGAIN), {"emails": email.pk, "one": "1"}, follow=True)
    assert response.redirect_chain == [(url_of(email), 302)]
    assert len(pushed()) == 1
    delivery.deliver(email.pk)
    assert [each["email_address"] for each in sandbox.emails()] == [ADDRESS]
    told = page(operator, email)
    assert "olu had it sent again. Status: Sending to Notify" in told
    assert "Attempt 1: Notify accepted it." in told


def test_the_filters_of_the_list_are_kept_on_the_way(operator: Client, make_email: MakeEmail) -> None:
    email = make_email(Status.NOTIFY_SENDING)
    filtered = f"{LIST}?state=on-its-way&status__exact=notify-sending"
    confirmation = choose(operator, Operation.CHECK, email, query="?state=on-its-way&status__exact=notify-sending")
    html = confirmation.content.decode()
    preserved = "_changelist_filters=state%3Don-its-way%26status__exact%3Dnotify-sending"
    action = f"{do_url(Operation.CHECK)}?{preserved}"
    assert f'<form method="post" action="{action}">' in html
    assert f'<a href="{filtered.replace("&", "&amp;")}">No, go back</a>' in html
    response = operator.post(action, {"emails": str(email.pk)})
    assert response.headers["Location"] == filtered
    # And by the page of the email
    detail = html_of(operator, f"{url_of(email)}?{preserved}")
    assert f'href="{action}&amp;emails={email.pk}&amp;one=1"' in detail
    response = operator.post(action, {"emails": str(email.pk), "one": "1"})
    assert response.headers["Location"] == f"{url_of(email)}?{preserved}"


def test_the_page_of_an_email_says_what_cannot_be_done_and_why(operator: Client, make_email: MakeEmail) -> None:
    email = make_email(Status.NOTIFY_DELIVERED)
    told = page(operator, email)
    assert (
        "What you can do: Send again: not possible. It was delivered. "
        "Check status now: not possible. What became of it is known. "
        "Stop trying: not possible. Notify has it, and takes nothing back."
    ) in told
    confirmation = html_of(operator, do_url(Operation.STOP), emails=str(email.pk), one="1")
    assert "Nothing can be done." in confirmation
    assert '<form method="post" action="/admin/django_govuk' not in confirmation


def test_of_more_than_a_thousand_emails_the_newest_are_taken(
    operator: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_actions, "MOST", 3)
    now = timezone.now()
    emails = [make_email(created_at=now + dt.timedelta(seconds=number)) for number in range(5)]
    newest = ",".join(str(email.pk) for email in emails[:1:-1])
    html = choose(operator, Operation.STOP, emails[0], everything=True).content.decode()
    assert f'<input type="hidden" name="emails" value="{newest}">' in html
    assert "You chose more than 3 emails. Only the newest 3 are taken." in html
    assert "Narrow the list down, or do it again for the others." in html
    # Nor by hand
    operator.post(do_url(Operation.STOP), {"emails": ",".join(str(email.pk) for email in emails)})
    assert [email.events.count() for email in emails] == [1, 1, 1, 0, 0]


def test_a_thousand_emails_at_a_time_is_no_more_than_django_takes(operator: Client, make_email: MakeEmail) -> None:
    """DATA_UPLOAD_MAX_NUMBER_FIELDS is 1,000: their numbers are in one field."""
    email = make_email()
    numbers = [*range(10**9, 10**9 + 999), email.pk]
    response = operator.post(do_url(Operation.STOP), {"emails": ",".join(map(str, numbers))}, follow=True)
    assert messages_of(response) == [
        "Stop trying: 1 email: It will not be sent.",
        "Stop trying: skipped 999 emails: There is no such email.",
    ]


def test_the_confirmation_lists_twenty_emails_and_says_how_many_more_there_are(
    operator: Client, make_email: MakeEmail
) -> None:
    for _ in range(23):
        make_email()
    html = choose(operator, Operation.STOP, make_email(), everything=True).content.decode()
    assert html.count('<th scope="row">') == 20
    assert "And 4 more." in html


@pytest.mark.parametrize("emails", ["", "x", "-1", "1.5", "٣", "9" * 30, "9" * 5000, ",,", "999999"])
def test_numbers_of_no_email_do_nothing(operator: Client, make_email: MakeEmail, emails: str) -> None:
    email = make_email()
    assert "There are no such emails." in html_of(operator, do_url(Operation.STOP), emails=emails)
    response = operator.post(do_url(Operation.STOP), {"emails": emails}, follow=True)
    expected = "Stop trying: skipped 1 email: There is no such email."
    if emails != "999999":
        expected = "No emails were given, so nothing was done."
    assert messages_of(response) == [expected]
    assert email.events.count() == 0
    assert LogEntry.objects.count() == 0


def test_what_makes_sense_by_then_is_done_and_reported(operator: Client, make_email: MakeEmail) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY)
    assert "1 email: It is sent again" in html_of(operator, do_url(Operation.SEND_AGAIN), emails=str(email.pk))
    for expected in (
        "Send again: 1 email: It is sent again, with all its retries.",
        "Send again: 1 email: It is tried at once instead of waiting.",
    ):
        response = operator.post(do_url(Operation.SEND_AGAIN), {"emails": email.pk}, follow=True)
        assert messages_of(response) == [expected]


def test_only_emails_that_a_projects_own_admin_shows_can_be_acted_on(
    operator: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = make_email(reference="mine"), make_email()
    monkeypatch.setattr(
        EmailMessageAdmin, "get_queryset", lambda self, request: EmailMessage.objects.with_reference("mine")
    )
    html = html_of(operator, do_url(Operation.STOP), emails=f"{mine.pk},{other.pk}")
    assert (url_of(mine) in html, url_of(other) in html) == (True, False)
    operator.post(do_url(Operation.STOP), {"emails": f"{mine.pk},{other.pk}"})
    assert (mine.events.count(), other.events.count()) == (1, 0)


def test_an_email_that_somebody_may_not_look_at_cannot_be_acted_on(
    operator: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = make_email(reference="mine"), make_email()
    may_view = EmailMessageAdmin.has_view_permission
    monkeypatch.setattr(
        EmailMessageAdmin,
        "has_view_permission",
        lambda self, request, obj=None: may_view(self, request, obj) and (obj is None or obj.reference == "mine"),
    )
    assert operator.get(url_of(other)).status_code == 403
    html = html_of(operator, do_url(Operation.STOP), emails=f"{mine.pk},{other.pk}")
    assert (url_of(mine) in html, url_of(other) in html) == (True, False)
    operator.post(do_url(Operation.STOP), {"emails": f"{mine.pk},{other.pk}"})
    assert (mine.events.count(), other.events.count()) == (1, 0)


def test_there_are_no_other_operations(operator: Client, make_email: MakeEmail) -> None:
    email = make_email()
    url = do_url(Operation.STOP).replace("/stop/", "/delete/")
    assert operator.get(url).status_code == operator.post(url, {"emails": email.pk}).status_code == 404


def test_nothing_is_offered_in_a_popup(operator: Client, make_email: MakeEmail) -> None:
    make_email()
    assert "<option" not in html_of(operator, LIST, _popup="1").split("changelist-form")[1]


def test_a_long_name_of_a_person_is_cut_to_what_is_stored(make_email: MakeEmail) -> None:
    operator = logged_in(VIEW, *PERMISSIONS.values(), name="x" * 150)
    name = User.get_username
    email = make_email()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(User, "get_username", lambda self: name(self) * 2)
        operator.post(do_url(Operation.STOP), {"emails": email.pk})
    assert email.events.get().person == "x" * 255


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("TIMEOUT", -1, "TIMEOUT must be a number of seconds above 0."),
        ("SEND_TO_NOTIFY_RETRY_INTERVALS", 7, "SEND_TO_NOTIFY_RETRY_INTERVALS must be a list of seconds."),
    ],
)
def test_a_wrong_setting_is_told_on_the_pages_that_it_keeps_from_acting(
    operator: Client, make_email: MakeEmail, settings: Settings, setting: str, value: object, problem: str
) -> None:
    problem = f"DJANGO_GOVUK_NOTIFY_OUTBOX__{problem}"
    setattr(settings, f"DJANGO_GOVUK_NOTIFY_OUTBOX__{setting}", value)
    began = timezone.now() - LATER
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY, attempt_started_at=began, unclear_until=began)
    assert f"Send again: not possible. {problem}" in page(operator, email)
    assert f"Skipped: {problem}" in text_of(html_of(operator, do_url(Operation.SEND_AGAIN), emails=str(email.pk)))
    response = operator.post(do_url(Operation.SEND_AGAIN), {"emails": email.pk}, follow=True)
    assert messages_of(response) == [f"Send again: skipped 1 email: {problem}"]
    assert email.events.count() == 0

"""The admin answers "what happened to this email?", and changes nothing."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_govuk_notify_outbox import delivery, sync
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.desk import LIST, listed, page, text_of
from tests.test_retrying import SERVER_ERROR

pytestmark = pytest.mark.django_db


def test_the_list_shows_where_each_email_stands(admin_client: Client, clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    row = text_of(admin_client.get(LIST).content.decode())
    assert (
        f"{email.pk} Retrying send to Notify {ADDRESS} - 11/22/2026 12:00:00 Ask Notify whether it has it "
        f"Nov. 22, 2026 12:00:05 Internal server error 1 11/22/2026 12:00:00 {defaults.TEMPLATE_ID[:8]}"
    ) in row


def test_the_list_shows_what_is_overdue(admin_client: Client, clock: Clock, make_email: MakeEmail) -> None:
    make_email()
    assert "Send it to Notify overdue since Nov. 22, 2026 12:00:00 -" in text_of(
        admin_client.get(LIST).content.decode()
    )


def test_a_status_is_told_in_words_beside_its_colour(admin_client: Client, make_email: MakeEmail) -> None:
    moods = {
        Status.SENDING_TO_NOTIFY: "waiting",
        Status.RETRYING_SEND_TO_NOTIFY: "worrying",
        Status.FAILED_SEND_TO_NOTIFY: "bad",
        Status.SENT_TO_NOTIFY: "under-way",
        Status.NOTIFY_DELIVERED: "good",
        Status.NOTIFY_PERMANENT_FAILURE: "bad",
    }
    for status, mood in moods.items():
        make_email(status)
        html = admin_client.get(LIST, {"status__exact": status}).content.decode()
        assert f'<span class="outbox-tag outbox-tag--{mood}">{status.label}</span>' in html


def test_the_list_filters_by_status_and_date(admin_client: Client, clock: Clock, make_email: MakeEmail) -> None:
    delivered = make_email(Status.NOTIFY_DELIVERED)
    make_email(Status.SENT_TO_NOTIFY)
    by_status = admin_client.get(LIST, {"status__exact": "notify-delivered"}).context["cl"]
    assert [email.pk for email in by_status.result_list] == [delivered.pk]
    tomorrow = admin_client.get(LIST, {"created_at__gte": "2026-11-23 00:00:00+00:00"}).context["cl"]
    assert list(tomorrow.result_list) == []


def test_search_finds_exact_matches_only(admin_client: Client, make_email: MakeEmail) -> None:
    email = make_email(Status.SENT_TO_NOTIFY, email_address="Zoe@Example.com", reference="Case 17")
    other = make_email(email_address="zo@example.com", reference="case 17")
    for term in (" zoe@example.COM ", "Case 17", str(email.notify_id), str(email.pk)):
        assert listed(admin_client, q=term) == [email.pk]
    arabic = str(email.pk).translate({ord("0") + digit: ord("٠") + digit for digit in range(10)})
    assert int(arabic) == email.pk
    for term in ("zoe", "example.com", "Case", "CASE 17", str(uuid.uuid4()), "9" * 30, "9" * 5000, "²", arabic, "'"):
        assert listed(admin_client, q=term) == []
    assert listed(admin_client, q=" ") == [other.pk, email.pk]


def test_a_list_costs_the_same_whatever_it_shows(admin_client: Client, make_email: MakeEmail) -> None:
    make_email()
    with CaptureQueriesContext(connection) as few:
        admin_client.get(LIST)
    for _ in range(20):
        make_email()
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LIST)
    assert len(few) == len(many)


def test_the_page_of_an_email_tells_its_story_in_order(admin_client: Client, clock: Clock, sandbox: Sandbox) -> None:
    sandbox.add_fault(**SERVER_ERROR)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}, reference="case 17")
    delivery.deliver(email.pk)
    for _ in range(2):
        clock.move(5)
        sync.run()
    told = page(admin_client, email)
    story = (
        "12:00:00 Created.",
        "12:00:00 less than a second later Attempt 1: no clear answer, so Notify may have it. Internal server error.",
        "Status: Retrying send to Notify HTTP 500 OperationalError",
        "What Notify answered",
        "Traceback of notifications_python_client.errors.HTTPError",
        "12:00:05 5 seconds later Asked Notify, which does not have it. HTTP 200",
        "12:00:05 less than a second later Attempt 2: Notify accepted it. Status: Sent to Notify HTTP 201",
        "12:00:10 5 seconds later Notify delivered it. Status: Notify: delivered HTTP 200",
        "What was asked for",
        "case 17",
    )
    positions = [told.index(part) for part in story]
    assert positions == sorted(positions)
    assert "Nothing: this is final" in told


def test_the_page_shows_personalisation_as_text_and_runs_nothing_in_it(
    admin_client: Client, make_email: MakeEmail
) -> None:
    email = make_email(personalisation={"name": "<script>alert(1)</script>"})
    url = reverse("admin:django_govuk_notify_outbox_emailmessage_change", args=[email.pk])
    html = admin_client.get(url).content.decode()
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_page_lays_personalisation_out_and_shortens_files(admin_client: Client, make_email: MakeEmail) -> None:
    email = make_email(personalisation={"name": "Siân", "files": [{"file": "x" * 5000}], "number": 1})
    url = reverse("admin:django_govuk_notify_outbox_emailmessage_change", args=[email.pk])
    html = admin_client.get(url).content.decode()
    assert "&quot;name&quot;: &quot;Siân&quot;,\n" in html
    assert "x" * 2000 + "… (5000 characters)&quot;" in html
    assert "x" * 2001 not in html


def test_the_page_of_an_email_without_personalisation_says_so(admin_client: Client, make_email: MakeEmail) -> None:
    assert "Personalisation: - Reference:" in page(admin_client, make_email(personalisation=None))


def test_nothing_can_be_added_changed_or_deleted(admin_client: Client, make_email: MakeEmail) -> None:
    email = make_email()
    before = EmailMessage.objects.values().get()
    name = "admin:django_govuk_notify_outbox_emailmessage_"
    assert admin_client.get(reverse(name + "add")).status_code == 403
    assert admin_client.post(reverse(name + "change", args=[email.pk]), {"status": "x"}).status_code == 403
    assert admin_client.post(reverse(name + "delete", args=[email.pk]), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [email.pk], "post": "yes"}
    admin_client.post(LIST, action)
    assert EmailMessage.objects.values().get() == before
    assert 'name="_save"' not in admin_client.get(reverse(name + "change", args=[email.pk])).content.decode()


def test_only_those_with_the_permission_to_view_see_emails(client: Client, make_email: MakeEmail) -> None:
    email = make_email()
    user = User.objects.create_user("support", is_staff=True)
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_emailmessage"))
    assert client.get(LIST).status_code == 200
    assert "Recipient: a•••@e•••.com" in page(client, email)

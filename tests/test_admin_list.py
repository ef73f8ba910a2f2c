"""The admin's list of emails: narrowed down by what people mean, and as quick with millions as with a few."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.admin import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch
from django.utils import timezone
from pytest_django import Settings

from django_govuk_notify_outbox import admin, admin_filters, admin_paging
from django_govuk_notify_outbox.admin_filters import TemplateFilter
from django_govuk_notify_outbox.admin_paging import AtLeast
from django_govuk_notify_outbox.events import News, build
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import MakeEmail
from tests.desk import CONTENTS, LIST, VIEW, html_of, listed, logged_in, text_of

pytestmark = pytest.mark.django_db

Kind, Outcome, Source = EmailMessageEvent.Kind, EmailMessageEvent.Outcome, EmailMessageEvent.Source


def make_many(make_email: MakeEmail, number: int) -> None:
    pattern = make_email(Status.NOTIFY_DELIVERED)
    values = {field.attname: getattr(pattern, field.attname) for field in EmailMessage._meta.concrete_fields}
    rows = [EmailMessage(**{**values, "id": None, "notify_id": None}) for _ in range(number - 1)]
    EmailMessage.objects.bulk_create(rows)


def statements(client: Client, **query: Any) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        listed(client, **query)
    return [query["sql"] for query in queries if "govuk_notify_outbox_email" in query["sql"]]


@pytest.mark.parametrize(
    ("state", "statuses"),
    [
        ("needs-attention", "failed-send-to-notify notify-permanent-failure sending-to-notify"),
        ("on-its-way", "sending-to-notify notify-sending"),
        ("delivered", "notify-delivered"),
        ("failed-before-notify", "failed-send-to-notify"),
        ("failed-at-notify", "notify-permanent-failure"),
        ("overdue", "sending-to-notify"),
    ],
)
def test_the_list_narrows_down_by_what_people_mean(
    admin_client: Client, make_email: MakeEmail, state: str, statuses: str
) -> None:
    now = timezone.now()
    emails = [
        make_email(due_at=now - dt.timedelta(minutes=10)),
        make_email(Status.NOTIFY_SENDING, due_at=now + dt.timedelta(minutes=10)),
        make_email(Status.NOTIFY_DELIVERED),
        make_email(Status.FAILED_SEND_TO_NOTIFY),
        make_email(Status.NOTIFY_PERMANENT_FAILURE),
    ]
    expected = {email.pk for email in emails if email.status in statuses.split()}
    assert set(listed(admin_client, state=state)) == expected


def test_what_the_list_cannot_be_narrowed_down_by_is_said_to_be_wrong(
    admin_client: Client, make_email: MakeEmail
) -> None:
    make_email()
    for query in ("state=lost", "state=", "template_id=%00"):
        assert admin_client.get(f"{LIST}?{query}").headers["Location"] == f"{LIST}?e=1"
    assert admin_client.get(f"{LIST}?status__exact=%00").status_code == 400


def test_the_list_narrows_down_by_template(admin_client: Client, make_email: MakeEmail) -> None:
    first, second = make_email(template_id="a-template"), make_email(template_id="b-template")
    make_email(template_id="b-template")
    html = html_of(admin_client, LIST)
    assert html.count("?template_id=a-template") == html.count("?template_id=b-template") == 1
    assert listed(admin_client, template_id="a-template") == [first.pk]
    assert second.pk in listed(admin_client, template_id="b-template")


def test_the_filter_lists_the_first_templates_and_says_that_there_are_more(
    admin_client: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_filters, "MOST_TEMPLATES", 2)
    for template_id in ("c", "a", "a", "b"):
        make_email(template_id=template_id)
    html = html_of(admin_client, LIST)
    assert "By template (the first 2)" in text_of(html)

    def choices(**query: str) -> list[str]:
        shown = admin_client.get(LIST, query).context["cl"]
        (spec,) = (spec for spec in shown.filter_specs if isinstance(spec, TemplateFilter))
        return [str(choice["display"]) for choice in spec.choices(shown)]

    assert choices() == ["All", "a", "b"]
    # One that is asked for is listed too
    assert choices(template_id="c") == ["All", "a", "b", "c"]
    assert choices(template_id="b") == ["All", "a", "b"]
    monkeypatch.setattr(admin_filters, "MOST_TEMPLATES", 3)
    assert choices() == ["All", "a", "b", "c"]
    assert "By template All a b c" in text_of(html_of(admin_client, LIST))


def test_the_templates_are_found_by_one_short_question_each(
    admin_client: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_filters, "MOST_TEMPLATES", 3)
    for template_id in "abcdefg":
        make_email(template_id=template_id)
    asked = [sql for sql in statements(admin_client) if re.match(r"SELECT \S+template_id\S+ AS", sql)]
    assert len(asked) == 4
    assert all(sql.endswith("LIMIT 1") for sql in asked)


def test_the_list_is_in_the_order_of_creation_whatever_its_address_says(
    admin_client: Client, make_email: MakeEmail
) -> None:
    now = timezone.now()
    old = make_email(created_at=now - dt.timedelta(days=2))
    new = make_email(created_at=now)
    same = make_email(created_at=now)
    middle = make_email(created_at=now - dt.timedelta(days=1))
    expected = [same.pk, new.pk, middle.pk, old.pk]
    assert listed(admin_client) == expected
    for order in ("1", "-6", "0.1", "x"):
        assert listed(admin_client, o=order) == expected


def test_the_list_counts_to_a_thousand_and_says_that_there_are_more(
    admin_client: Client, make_email: MakeEmail
) -> None:
    make_many(make_email, 1000)
    html = html_of(admin_client, LIST)
    assert "1000 emails" in text_of(html)
    assert "There are more of these emails than are listed." not in html
    make_many(make_email, 1)
    html = html_of(admin_client, LIST)
    assert "1,000+ emails" in text_of(html)
    assert "There are more of these emails than are listed." in html
    assert len(listed(admin_client, p=20)) == 50
    assert admin_client.get(LIST, {"p": 21}).headers["Location"] == f"{LIST}?e=1"


def test_a_number_where_counting_stopped_is_a_number(settings: Settings) -> None:
    number = AtLeast(1000)
    assert (number > 50, number * 2, number == 1000) == (True, 2000, True)
    assert str(number) == "1,000+"
    # Digits would be grouped in "1,000+" too
    settings.USE_THOUSAND_SEPARATOR = True
    assert str(number) == "1000"


def test_nothing_is_counted_without_an_end(admin_client: Client, make_email: MakeEmail) -> None:
    make_email()
    for query in ({}, {"state": "on-its-way"}, {"q": "x@example.com"}, {"_facets": "True"}, {"all": ""}):
        counts = [sql for sql in statements(admin_client, **query) if "COUNT(" in sql]
        assert len(counts) <= 1
        assert all("LIMIT 1001)" in sql and "emailmessageevent" not in sql for sql in counts)
        assert not any("DISTINCT" in sql or "LIKE" in sql for sql in statements(admin_client, **query))


def test_the_list_does_not_read_what_may_be_megabytes(admin_client: Client, make_email: MakeEmail) -> None:
    make_email(one_click_unsubscribe_url="https://example.com/unsubscribe")
    for column in ("personalisation", "sanitise_content_for", "one_click_unsubscribe_url"):
        assert not any(column in sql for sql in statements(admin_client))


def test_the_list_shows_the_newest_error_of_each_email(admin_client: Client, make_email: MakeEmail) -> None:
    first, second, without = make_email(), make_email(), make_email()

    def add(email: EmailMessage, message: str, exception: str) -> None:
        exchange = Exchange(message=message, exception=exception, http_status=500)
        build(
            email, email.status, Kind.ATTEMPT, Source.SENDING, Outcome.UNCLEAR, News(attempt=1, exchange=exchange)
        ).save()

    add(first, "the older error", "x.Error")
    add(second, "of the\nsecond " + 200 * "x", "x.Error")
    add(first, "the newer error", "x.Error")
    add(first, "no error", "")
    errors = {email.pk: _error_of(email) for email in admin_client.get(LIST).context["cl"].result_list}
    assert errors == {
        first.pk: "the newer error",
        second.pk: ("of the second " + 200 * "x")[:120],
        without.pk: "-",
    }


def _error_of(email: EmailMessage) -> str:
    desk: Any = site.get_model_admin(EmailMessage)
    return str(desk.last_error(email))


def test_a_search_finds_no_more_than_a_thousand_of_each_kind_the_newest(
    admin_client: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_filters, "MOST_FOUND", 2)
    emails = [make_email(email_address="a@example.com", reference="case") for _ in range(3)]
    named = [make_email(reference="a@example.com") for _ in range(2)]
    found = listed(admin_client, q="a@example.com")
    assert set(found) == {email.pk for email in (*emails[1:], *named)}


def test_a_search_asks_one_index_at_a_time(admin_client: Client, make_email: MakeEmail) -> None:
    email = make_email(Status.SENT_TO_NOTIFY)
    for term in (email.email_address, str(email.notify_id), str(email.pk)):
        assert not any(" OR " in sql for sql in statements(admin_client, q=term))


@pytest.mark.parametrize(
    "lookup",
    [
        "email_address",
        "email_address__startswith",
        "personalisation__contains",
        "subject__contains",
        "events__message__contains",
        "one_click_unsubscribe_url__contains",
        "address_digest",
        "attempts__gte",
    ],
)
def test_nobody_can_guess_at_what_is_hidden_with_the_address_of_the_list(
    admin_client: Client, make_email: MakeEmail, lookup: str
) -> None:
    make_email()
    assert admin_client.get(LIST, {lookup: "a"}).status_code == 400


def test_a_foreign_key_may_limit_what_its_popup_lists(
    admin_client: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered = make_email(Status.NOTIFY_DELIVERED)
    make_email()
    limits: list[Any] = [{"attempts__gte": 1}, lambda: {"sent_at__isnull": False}]
    monkeypatch.setattr(EmailMessage._meta, "related_fkey_lookups", limits)
    assert listed(admin_client, attempts__gte="1", _popup="1") == [delivered.pk]
    assert listed(admin_client, sent_at__isnull="0") == [delivered.pk]
    assert admin_client.get(LIST, {"attempts__gte": "0"}).status_code == 400


def test_the_list_says_what_it_hides(make_email: MakeEmail) -> None:
    make_email()
    hidden = "Recipients are shortened and contents are hidden."
    assert hidden in html_of(logged_in(VIEW), LIST)
    assert hidden not in html_of(logged_in(VIEW, CONTENTS, name="all"), LIST)


def test_the_list_links_to_the_summary_if_there_is_one(
    admin_client: Client, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "reverse", lambda name, **_: f"/{name}/")
    link = '<a href="/admin:django_govuk_notify_outbox_emailmessage_summary/">Summary</a>'
    assert link in html_of(admin_client, LIST)

    def nothing(name: str, **_: object) -> str:
        raise NoReverseMatch(name)

    monkeypatch.setattr(admin, "reverse", nothing)
    assert "Summary</a>" not in html_of(admin_client, LIST)


def test_the_list_works_without_time_zones(admin_client: Client, make_email: MakeEmail, settings: Settings) -> None:
    settings.USE_TZ = False
    make_email(created_at=dt.datetime(2026, 11, 22, 12, 0, 1))  # noqa: DTZ001  # as Django stores it then
    assert "11/22/2026 12:00:01" in text_of(html_of(admin_client, LIST))


def test_nothing_is_asked_for_errors_where_nothing_is_listed(admin_client: Client) -> None:
    assert admin_paging.newest_errors([]) == {}
    assert listed(admin_client) == []


@pytest.mark.parametrize("state", sorted(admin_filters.PARTS))
def test_of_a_state_of_several_parts_each_is_read_by_itself_and_the_list_from_those_alone(
    admin_client: Client, make_email: MakeEmail, state: str
) -> None:
    for status in Status:
        make_email(status)
    in_order = [sql for sql in statements(admin_client, state=state) if re.search(r"ORDER BY .*created_at", sql)]
    assert in_order
    # Whatever is put in the order of creation is either one status, or what was found before
    for sql in in_order:
        assert re.search(r"""["`]id["`] IN \(|["`]status["`] DESC, """, sql)

"""The summary tells how sending went lately, in exact figures, and on a page that everybody can read."""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_govuk_notify_outbox import admin_summary, charts, delivery, figures, holds, moments, summary, sync
from django_govuk_notify_outbox.events import Kind, Outcome, Source
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.summary import Error, Period, Times
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.desk import text_of
from tests.test_logging import WRONG_KEY, forbidden

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:django_govuk_notify_outbox_emailmessage_summary")
HOUR, DAY, WEEK = 3600, 24 * 3600, 7 * 24 * 3600
FAILURES = (
    Status.FAILED_SEND_TO_NOTIFY,
    Status.NOTIFY_TEMPORARY_FAILURE,
    Status.NOTIFY_TECHNICAL_FAILURE,
    Status.NOTIFY_PERMANENT_FAILURE,
)


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


def period(name: str) -> Period:
    (found,) = (each for each in summary.report().periods if each.name == name)
    return found


def make_event(email: EmailMessage, kind: Kind = Kind.ATTEMPT, /, **values: Any) -> EmailMessageEvent:
    return EmailMessageEvent.objects.create(
        email_message=email,
        **{"kind": kind, "previous_status": email.status, "status": email.status, "source": Source.SENDING} | values,
    )


def shown(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return response.content.decode()


def rows(html: str) -> dict[str, list[str]]:
    """The cells of all tables' rows, by their heads."""
    found = re.findall(r'<tr[^>]*><th scope="row">(.*?)</th>(.*?)</tr>', re.sub(r">\s+<", "><", html), re.DOTALL)
    return {text_of(head): [text_of(cell) for cell in re.findall(r"<td>.*?</td>", cells)] for head, cells in found}


# --- The figures ----------------------------------------------------------------------------------------------------


def test_every_status_is_in_one_group() -> None:
    assert sorted(status for group in summary.GROUPS.values() for status in group) == sorted(Status)
    assert set(admin_summary._GROUPS) == set(summary.GROUPS)
    assert set(admin_summary._PERIODS) == set(admin_summary._CHARTS) == set(summary.PERIODS)


def test_emails_count_in_the_periods_in_which_they_were_made(clock: Clock, make_email: MakeEmail) -> None:
    ages = {
        0: Status.SENDING_TO_NOTIFY,
        HOUR - 1: Status.NOTIFY_DELIVERED,
        HOUR: Status.NOTIFY_DELIVERED,
        DAY - 1: Status.NOTIFY_PERMANENT_FAILURE,
        DAY: Status.SENT_TO_NOTIFY,
        WEEK - 1: Status.FAILED_SEND_TO_NOTIFY,
        WEEK: Status.NOTIFY_DELIVERED,
    }
    for age, status in ages.items():
        make_email(status, created_at=clock.now - seconds(age))
    hour, day, week = summary.report().periods
    assert [(each.name, each.number, each.is_whole) for each in (hour, day, week)] == [
        ("hour", 2, True),
        ("day", 4, True),
        ("week", 6, True),
    ]
    assert [each.since for each in (hour, day, week)] == [clock.now - seconds(age) for age in (HOUR, DAY, WEEK)]
    assert list(hour.statuses) == list(Status)
    assert {status: number for status, number in day.statuses.items() if number} == {
        Status.SENDING_TO_NOTIFY: 1,
        Status.NOTIFY_DELIVERED: 2,
        Status.NOTIFY_PERMANENT_FAILURE: 1,
    }
    assert {group: week.of_group(group) for group in summary.GROUPS} == {
        "delivered": 2,
        "failed-at-notify": 1,
        "failed-before-notify": 1,
        "at-notify": 1,
        "to-send": 1,
    }


def test_the_delivery_rate_is_that_of_emails_that_met_their_fate(clock: Clock, make_email: MakeEmail) -> None:
    for status in Status:
        if status not in (*FAILURES, Status.NOTIFY_DELIVERED):
            make_email(status)
    assert (period("hour").ended, period("hour").delivery_rate) == (0, None)
    for status in (*FAILURES, *[Status.NOTIFY_DELIVERED] * 4):
        make_email(status)
    assert (period("hour").delivered, period("hour").ended, period("hour").delivery_rate) == (4, 8, 0.5)


def test_times_are_the_median_and_what_95_in_100_did_not_exceed(clock: Clock, make_email: MakeEmail) -> None:
    made_at = clock.now - seconds(600)
    for number in range(1, 41):
        sent_at, delivered_at = made_at + seconds(number), made_at + seconds(10 * number)
        make_email(Status.NOTIFY_DELIVERED, created_at=made_at, sent_at=sent_at, status_changed_at=delivered_at)
    # Accepted, but not delivered
    make_email(Status.SENT_TO_NOTIFY, created_at=made_at, sent_at=made_at + seconds(500))
    # Neither
    make_email(created_at=made_at)
    hour = period("hour")
    assert hour.to_acceptance == Times(median=21.0, slow=39.0)
    assert hour.to_delivery == Times(median=205.0, slow=380.0)


def test_one_email_is_its_own_median_and_none_has_no_times(clock: Clock, make_email: MakeEmail) -> None:
    make_email(Status.SENT_TO_NOTIFY, created_at=clock.now - seconds(HOUR + 2), sent_at=clock.now)
    assert (period("hour").to_acceptance, period("hour").to_delivery) == (None, None)
    assert period("day").to_acceptance == Times(median=HOUR + 2.0, slow=HOUR + 2.0)


def test_clocks_that_differ_make_no_time_negative(clock: Clock, make_email: MakeEmail) -> None:
    make_email(Status.SENT_TO_NOTIFY, sent_at=clock.now - seconds(3))
    assert period("hour").to_acceptance == Times(median=0.0, slow=0.0)


def test_a_sample_that_is_too_small_says_since_when_the_figures_are(
    clock: Clock, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "SAMPLE", 3)
    for age in (10, 20, HOUR + 10, HOUR + 20, DAY + 10):
        make_email(created_at=clock.now - seconds(age))
    told = [(each.number, each.is_whole, (clock.now - each.since).total_seconds()) for each in summary.report().periods]
    assert told == [(2, True, HOUR), (3, False, HOUR + 10), (3, False, HOUR + 10)]


def test_errors_are_told_by_what_they_have_in_common(clock: Clock, make_email: MakeEmail) -> None:
    email = make_email(Status.RETRYING_SEND_TO_NOTIFY)
    refusal = {"outcome": Outcome.REFUSED, "http_status": 400, "error_type": "BadRequestError", "exception": "x.Error"}
    cut = {"outcome": Outcome.UNCLEAR, "exception": "requests.exceptions.ConnectionError"}
    make_event(email, **refusal, message=f"{ADDRESS} is wrong", created_at=clock.now - seconds(50))
    make_event(email, **refusal, message="Another message", created_at=clock.now - seconds(20))
    make_event(email, **cut, created_at=clock.now - seconds(10))
    make_event(email, **cut, created_at=clock.now - seconds(WEEK + 1))
    make_event(email, Kind.ABANDONED, source=Source.CLOCK, created_at=clock.now - seconds(5))
    make_event(email, outcome=Outcome.ACCEPTED, http_status=201)
    make_event(email, Kind.REPORT, http_status=200, status=Status.NOTIFY_DELIVERED)
    errors = summary.report().errors
    assert (errors.since, errors.is_whole) == (clock.now - seconds(WEEK), True)
    assert errors.most_common == [
        Error(
            kind=Kind.ATTEMPT,
            outcome=Outcome.REFUSED,
            http_status=400,
            error_type="BadRequestError",
            exception="x.Error",
            number=2,
            newest_at=clock.now - seconds(20),
        ),
        Error(
            kind=Kind.ABANDONED,
            outcome=None,
            http_status=None,
            error_type="",
            exception="",
            number=1,
            newest_at=clock.now - seconds(5),
        ),
        Error(
            kind=Kind.ATTEMPT,
            outcome=Outcome.UNCLEAR,
            http_status=None,
            error_type="",
            exception="requests.exceptions.ConnectionError",
            number=1,
            newest_at=clock.now - seconds(10),
        ),
    ]


def test_only_the_newest_events_are_read_and_it_is_told_how_far_they_reach(
    clock: Clock, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = make_email()
    events = [
        make_event(email, outcome=Outcome.LIMITED, http_status=429, created_at=clock.now - seconds(age))
        for age in (90, 60, 30)
    ]
    # Other events' numbers may have been taken before, by other tests
    monkeypatch.setattr(figures, "MOST_EVENTS", 2)
    assert events[-1].pk > 2
    errors = summary.report().errors
    assert [each.number for each in errors.most_common] == [2]
    assert (errors.since, errors.is_whole) == (clock.now - seconds(60), False)
    clock.move(WEEK + 10)
    errors = summary.report().errors
    assert errors.most_common == []
    assert (errors.since, errors.is_whole) == (clock.now - seconds(WEEK), True)


def test_errors_that_a_newer_version_wrote_are_left_out(make_email: MakeEmail) -> None:
    make_event(make_email(), outcome=Outcome.REFUSED, http_status=400)
    EmailMessageEvent.objects.update(kind="novel")
    assert summary.report().errors.most_common == []


def test_no_more_than_the_most_common_errors_are_told(clock: Clock, make_email: MakeEmail) -> None:
    email = make_email()
    for status in range(500, 512):
        make_event(email, outcome=Outcome.UNCLEAR, http_status=status, created_at=clock.now - seconds(600 - status))
    told = [each.http_status for each in summary.report().errors.most_common]
    assert told == list(range(511, 501, -1))


def test_an_empty_database_is_told_in_noughts() -> None:
    report = summary.report()
    assert [(each.number, each.is_whole, each.delivery_rate) for each in report.periods] == [(0, True, None)] * 3
    assert (list(report.errors.most_common), report.errors.is_whole) == ([], True)
    assert report.health.is_healthy


def test_the_figures_are_the_same_without_time_zones(
    admin_client: Client, sandbox: Sandbox, make_email: MakeEmail, settings: Settings
) -> None:
    settings.USE_TZ = False
    now = timezone.now()
    assert timezone.is_naive(now)
    for age in (60, HOUR + 60, DAY + 60, WEEK + 60):
        made_at = now - seconds(age)
        make_email(Status.NOTIFY_DELIVERED, created_at=made_at, sent_at=made_at, status_changed_at=made_at + seconds(7))
    report = summary.report()
    assert [each.number for each in report.periods] == [1, 2, 3]
    assert [each.to_acceptance for each in report.periods] == [Times(median=0.0, slow=0.0)] * 3
    assert [each.to_delivery for each in report.periods] == [Times(median=7.0, slow=7.0)] * 3
    assert report.errors.is_whole
    assert rows(shown(admin_client))["Half were known to be delivered within"] == ["7.0 seconds"] * 3


def test_a_clock_that_is_put_back_makes_no_time_an_hour_longer_or_shorter(settings: Settings) -> None:
    settings.USE_TZ = False
    assert settings.TIME_ZONE == "Europe/London"
    local = dt.datetime.fromisoformat
    # 01:59 comes before 01:01 that night
    assert moments.seconds_between(local("2026-10-25 01:59"), local("2026-10-25 01:01")) == 120
    assert moments.seconds_between(local("2026-10-25 01:01"), local("2026-10-25 01:03")) == 120
    assert moments.seconds_between(local("2026-03-29 00:59"), local("2026-03-29 02:01")) == 120
    assert moments.seconds_between(local("2026-11-22 12:00"), local("2026-11-22 11:00")) == 0
    assert moments.before(local("2026-10-25 12:00"), DAY) == local("2026-10-24 13:00")


def test_time_zones_of_the_database_do_not_matter() -> None:
    zone = dt.timezone(seconds(HOUR))
    made_at = dt.datetime(2026, 11, 22, 13, 0, tzinfo=zone)
    assert moments.seconds_between(made_at, dt.datetime(2026, 11, 22, 12, 1, tzinfo=dt.UTC)) == 60


# --- What it costs --------------------------------------------------------------------------------------------------


def test_it_takes_as_many_statements_for_ten_emails_as_for_300(
    admin_client: Client, clock: Clock, make_email: MakeEmail
) -> None:
    def add(emails: int) -> None:
        for number in range(emails):
            email = make_email(list(Status)[number % len(Status)], created_at=clock.now - seconds(number))
            make_event(email, outcome=Outcome.UNCLEAR, http_status=500 + number % 7)

    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            shown(admin_client)
        return [query["sql"] for query in captured]

    add(10)
    few = statements()
    add(290)
    many = statements()
    assert len(few) == len(many) <= 20
    emails = [statement for statement in many if '"sent_at"' in statement.replace("`", '"')]
    assert len(emails) == 1
    assert "LIMIT 20000" in emails[0]


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_page_says_in_words_and_numbers_how_sending_went(
    admin_client: Client, clock: Clock, make_email: MakeEmail
) -> None:
    made_at = clock.now - seconds(200)
    times = {"created_at": made_at, "sent_at": made_at + seconds(0.04), "status_changed_at": made_at + seconds(5.2)}
    for _ in range(1999):
        make_email(Status.NOTIFY_DELIVERED, **times)
    make_email(Status.NOTIFY_PERMANENT_FAILURE, **times)
    make_email(Status.SENDING_TO_NOTIFY, created_at=clock.now - seconds(2 * HOUR), due_at=clock.now + seconds(60))
    html = shown(admin_client)
    told = rows(html)
    assert told["Delivered"] == ["1,999", "1,999", "1,999"]
    assert told["Failed at Notify"] == ["1", "1", "1"]
    assert told["Notify: permanent failure"] == ["1", "1", "1"]
    assert told["Notify: technical failure"] == ["0", "0", "0"]
    assert told["Sending to Notify"] == ["0", "1", "1"]
    assert told["All"] == ["2,000", "2,001", "2,001"]
    assert told["Delivered, of those delivered or failed"] == ["99.9%"] * 3
    assert told["Half were accepted by Notify within"] == ["under 0.1 seconds"] * 3
    assert told["95% were known to be delivered within"] == ["5.2 seconds"] * 3
    assert "2,000 emails" in text_of(html)


def test_the_page_says_how_it_is_now(admin_client: Client, clock: Clock, sandbox: Sandbox) -> None:
    html = shown(admin_client)
    assert "No problems" in html
    assert "No errors." in html
    assert rows(html)["Waiting to be sent"] in (["none"], ["0", "0", "0"])
    assert rows(html)["Sync"] == ["has never worked"]
    sandbox.add_fault(**forbidden(WRONG_KEY), times=9)
    send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    clock.move(40)
    lease = holds.Lease(holds.SYNC, seconds=70)
    assert lease.take()
    delivery.deliver(EmailMessage.objects.get().pk)
    html = shown(admin_client)
    now = html.partition("outbox-periods")[0]
    assert "Notify does not take our API key: once lately, last 0 seconds ago." in now
    assert "No problems" not in html
    assert rows(now)["Waiting to be sent"] == ["1, the oldest made 40 seconds ago"]
    assert rows(now)["Sync"] == ["at work"]
    assert rows(now)["Sending"] == ["held for a few seconds"]
    assert rows(html)["Attempt to send: Not accepted, to be tried later"] == [
        "HTTP 403 AuthError",
        "1",
        "Nov. 22, 2026 12:00:40",
    ]
    lease.release()
    clock.move(HOUR + 120)
    now = shown(admin_client).partition("outbox-periods")[0]
    assert rows(now)["Overdue to be sent"][0].startswith("1, the oldest for 1 hour")
    assert rows(now)["Sync"] == ["last worked 1 hour, 2 minutes ago"]


def test_the_page_says_that_figures_are_of_a_sample(
    admin_client: Client, clock: Clock, make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "SAMPLE", 2)
    monkeypatch.setattr(figures, "MOST_COUNTED", 2)
    monkeypatch.setattr(figures, "MOST_EVENTS", 1)
    for age in (3, 2, 1):
        email = make_email(created_at=clock.now - seconds(age * 600))
        make_event(email, outcome=Outcome.UNCLEAR, exception="builtins.TimeoutError")
    html = shown(admin_client)
    told = text_of(html).replace(" .", ".")
    assert "2 emails or more. The figures are those of the newest 2, since Nov. 22, 2026 11:40." in told
    assert "Of the newest events, since Nov. 22, 2026 12:00." in told
    assert "Status Last hour newest 2 Last day newest 2 Last week newest 2" in told
    assert rows(html.partition("outbox-periods")[0])["Waiting to be sent"] == [
        "2 or more, the oldest made 30 minutes ago"
    ]
    assert rows(html)["Attempt to send: Unclear"][:2] == ["builtins.TimeoutError", "1"]


def test_an_abandoned_email_is_an_error_without_an_answer(admin_client: Client, make_email: MakeEmail) -> None:
    make_event(make_email(), Kind.ABANDONED, source=Source.CLOCK)
    assert rows(shown(admin_client))["Abandoned"][:2] == ["-", "1"]


def test_nothing_personal_is_on_the_page(admin_client: Client, clock: Clock, sandbox: Sandbox) -> None:
    body = {"errors": [{"error": "BadRequestError", "message": f"{ADDRESS} has secret-5"}], "status_code": 400}
    sandbox.add_fault(status=400, body=body)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "secret-7"}, reference="secret-9")
    sync.run()
    clock.move(60)
    sync.run()
    email.refresh_from_db()
    assert email.status == Status.FAILED_SEND_TO_NOTIFY
    html = shown(admin_client)
    assert "BadRequestError" in html
    assert ADDRESS not in html
    assert "secret" not in html
    assert email.template_id not in html


def test_only_those_who_may_view_emails_see_the_page(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    user = User.objects.create_user("support", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_emailmessage"))
    assert client.get(PAGE).status_code == 200


def test_the_page_is_one_that_assistive_technology_can_read(
    admin_client: Client, clock: Clock, make_email: MakeEmail
) -> None:
    make_event(make_email(), outcome=Outcome.UNCLEAR, exception="builtins.TimeoutError")
    html = shown(admin_client)
    assert re.findall(r"<h1[^>]*>(.*?)</h1>", html) == ["Summary of emails"]
    content = html.partition('id="content-main"')[2]
    assert content.count("<table") == content.count("<caption") == content.count('tabindex="0"') == 4
    assert re.findall(r"<th(?! scope=)", content) == ["<th"] * content.count("<thead")
    assert "style=" not in content
    assert "<style" not in content
    assert "<script" not in content.partition("</section>\n</div>")[0]
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for names in re.findall(r'aria-labelledby="([^"]+)"', content):
        assert set(names.split()) <= set(ids)
    assert "django_govuk_notify_outbox/admin.css" in html


# --- The chart ------------------------------------------------------------------------------------------------------


def test_a_chart_has_words_and_numbers_and_a_pattern_for_each_bar() -> None:
    bars = [
        charts.Bar(label="Delivered <all>", number=2999, mood="good"),
        charts.Bar(label="Failed", number=1, mood="bad"),
        charts.Bar(label="Waiting", number=0, mood="waiting"),
    ]
    drawn = ET.fromstring(charts.bar_chart("hour", title="Emails & more", bars=bars))
    assert (drawn.tag, drawn.get("role")) == ("svg", "img")
    words = ["Delivered <all>: 2,999 (99.9%)", "Failed: 1 (under 0.1%)", "Waiting: 0 (0%)"]
    assert [each.text for each in drawn.findall("text")] == words
    named = {each.get("id"): each.text for each in drawn if each.get("id")}
    assert [named[name] for name in (drawn.get("aria-labelledby") or "").split()] == [
        "Emails & more",
        ". ".join(words) + ".",
    ]
    shapes = [(each.get("class"), each.get("fill"), each.get("width")) for each in drawn.findall("rect")]
    assert shapes == [
        ("outbox-bar outbox-bar--good", None, "297.9"),
        ("outbox-bar outbox-bar--bad", None, "2.0"),
        (None, "url(#outbox-pattern-hour-bad)", "2.0"),
    ]
    patterns = [each.get("id") for each in drawn.iter("pattern")]
    assert patterns == [f"outbox-pattern-hour-{mood}" for mood in ("bad", "worrying", "under-way")]


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "0%"),
        (0, 7, "0%"),
        (1, 1001, "under 0.1%"),
        (1, 1000, "0.1%"),
        (1, 3, "33.3%"),
        (9999, 10000, "99.9%"),
        (5, 10, "50%"),
        (7, 7, "100%"),
    ],
)
def test_a_share_is_rounded_down(part: int, whole: int, words: str) -> None:
    assert charts.percentage(part, whole) == words


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (0.0, "under 0.1 seconds"),
        (0.1, "0.1 seconds"),
        (9.94, "9.9 seconds"),
        (9.96, "10 seconds"),
        (119.4, "119 seconds"),
        (120.0, "2 minutes"),
        (3 * HOUR + 61, "3 hours, 1 minute"),
        (8 * DAY, "1 week, 1 day"),
    ],
)
def test_a_time_is_told_as_exactly_as_it_is_of_use(taken: float, words: str) -> None:
    assert admin_summary.duration(taken) == words

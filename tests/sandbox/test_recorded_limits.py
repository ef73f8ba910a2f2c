"""Limits, edits and outages as recorded: rows that follow from one another, sent in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from django_govuk_notify_outbox.sandbox import clock, services
from django_govuk_notify_outbox.sandbox.faults import Rule
from django_govuk_notify_outbox.sandbox.models import Notification, SandboxState
from django_govuk_notify_outbox.sandbox.services import Service

from . import accounts, recorded

Post = Callable[[], int]


def _go_to(seconds: float) -> None:
    moment = recorded.MOMENT + timedelta(seconds=seconds)
    SandboxState.change(frozen_at=clock.from_datetime(moment))


def _replay(client: Client, *names: str) -> None:
    for name in names:
        row = recorded.row(name)
        response = recorded.send(client, row)
        if "left out" in str(row["response"].get("json")):
            count = int(row["response"]["json"]["notifications"].removeprefix("<left out: ").removesuffix(">"))
            assert response.status_code == 200
            assert len(response.json()["notifications"]) == count
            accounts.replayed.add(name)
        else:
            recorded.check(response, row)


@pytest.mark.usefixtures("recorded_world")
def test_rate_limit_refuses_in_the_recorded_order(client: Client) -> None:
    _replay(client, *(f"rate.normal.{number}" for number in range(1, 5)), "rate.invalid-body-while-limited")
    _replay(client, "rate.test-key-has-own-bucket", "rate.team.1", "rate.team.2", "rate.team.3")
    _replay(client, "rate.test.2", "rate.test.3", "rate.test.4")
    _replay(client, "rate.get-not-limited", "rate.preview-not-limited")

    assert Notification.objects.count() == 6


@pytest.fixture
def post(client: Client, recorded_world: dict[str, Service]) -> Post:
    """Send a plain email with the limited service's live key, and return the status answered."""
    service = recorded_world["limited"]
    template = next(one for one in service.templates.values() if one.name == "Plain email")

    def call() -> int:
        return client.post(
            "/v2/notifications/email",
            {"email_address": "a@example.com", "template_id": str(template.id)},
            content_type="application/json",
            headers={"Authorization": f"Bearer {recorded.signed('limited', 'normal')}"},
        ).status_code

    return call


@pytest.mark.parametrize(("silence", "status"), [(5, 429), (10.5, 429), (21, 201)])
def test_dry_bucket_needs_two_tokens_to_let_one_through(post: Post, silence: float, status: int) -> None:
    assert [post(), post(), post()] == [201, 201, 429]

    _go_to(silence)

    assert post() == status


def test_retrying_once_a_second_never_gets_through_a_dry_bucket(post: Post) -> None:
    assert [post(), post(), post()] == [201, 201, 429]

    statuses = []
    for second in range(1, 41):
        _go_to(second)
        statuses.append(post())

    assert statuses == [429] * 40


@pytest.mark.parametrize(
    ("load", "tries", "accepted"),
    [(8, 81, 80), (9.5, 96, 93), (10.5, 106, 0), (12, 121, 0), (15, 151, 0), (20, 201, 0)],
)
def test_load_at_the_limit_or_above_starves_once_the_bucket_is_dry(
    post: Post, load: float, tries: int, accepted: int
) -> None:
    SandboxState.change(rate_limit=600)
    burst = 0
    while post() == 201:
        burst += 1
    assert burst == 200

    statuses = []
    for number in range(tries):
        # It took the recorder a moment to begin, in which less than two tokens arrived
        _go_to(0.188 + number / load)
        statuses.append(post())

    assert statuses.count(201) == accepted


def test_part_of_a_token_is_not_lost_between_tries(post: Post) -> None:
    SandboxState.change(rate_limit=6)
    assert [post(), post(), post()] == [201, 201, 429]

    _go_to(19.9)
    assert post() == 429  # took the token that had come at 10
    _go_to(20.1)
    assert post() == 429  # took the one of 20, which is right after
    _go_to(40.1)
    assert post() == 201


def test_bucket_holds_999_at_most(post: Post) -> None:
    SandboxState.change(rate_limit=100_000)

    assert [post() for _ in range(1000)] == [201] * 999 + [429]


def test_clock_that_is_moved_back_does_not_leave_the_bucket_dry_for_ever(post: Post) -> None:
    assert [post(), post(), post()] == [201, 201, 429]

    _go_to(-1_000)
    assert post() == 429
    _go_to(-980)
    assert post() == 201


@pytest.mark.usefixtures("recorded_world")
def test_daily_limit_refuses_in_the_recorded_order(client: Client) -> None:
    _replay(client, *(f"daily.normal.{number}" for number in range(1, 5)))
    _replay(client, "daily.invalid-body-while-limited", "daily.simulated-while-limited")
    _replay(client, "daily.team-key-shares-counter", *(f"daily.test-key.{number}" for number in range(1, 6)))
    _replay(client, "daily.get-still-works")
    _go_to(16 * 60)
    assert Notification.objects.count() == 8

    _go_to(17 * 60 + 1)
    _replay(client, "daily.after-utc-midnight")

    assert Notification.objects.count() == 9


def test_template_is_edited_between_two_emails(
    client: Client, recorded_world: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = recorded_world["other"]
    before = recorded.row("template-edit.before")
    template = service.templates[UUID(before["request"]["json"]["template_id"])]
    recorded.check(response := recorded.send(client, before), before)
    edited = replace(template, version=3, body="Version three ((x)) ((y)).", earlier=(*template.earlier, template))
    templates = {**service.templates, template.id: edited}
    monkeypatch.setitem(services._services, service.id, replace(service, templates=templates))
    old = recorded.row("template-edit.get-old-notification")
    Notification.objects.filter(notification_id=response.json()["id"]).update(
        notification_id=UUID(old["response"]["json"]["id"])
    )

    _go_to(3)
    _replay(client, "template-edit.get-old-notification")
    _replay(client, "template-edit.after-missing-new-placeholder", "template-edit.after")


_OUTAGES: dict[str, dict[str, Any]] = {
    "outage.database.post": {"status": 500},
    "outage.database.get": {"on": "GET", "status": 500},
    "outage.queue.post": {"status": 500},
    "outage.timeout.post": {
        "status": 500,
        "body": recorded.row("outage.timeout.post")["response"]["json"],
    },
    "outage.timeout.get": {
        "on": "GET",
        "status": 500,
        "body": recorded.row("outage.timeout.get")["response"]["body"],
    },
    "outage.timeout.file-upload": {"status": 504},
}
_AFTERWARDS = {
    "outage.queue.post": "outage.queue.reference-afterwards",
    "outage.timeout.post": "outage.timeout.reference-afterwards",
    "outage.timeout.file-upload": "outage.timeout.client-gave-up.reference-afterwards",
}


@pytest.mark.usefixtures("recorded_world")
@pytest.mark.parametrize("name", _OUTAGES)
def test_outage_is_played_by_a_fault(client: Client, name: str) -> None:
    Rule(**_OUTAGES[name]).save()

    _replay(client, name)

    assert Notification.objects.count() == 0
    if name in _AFTERWARDS:
        _replay(client, _AFTERWARDS[name])

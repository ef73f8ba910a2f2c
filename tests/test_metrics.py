"""What Prometheus is told, read from the database when it asks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from pytest_django import DjangoAssertNumQueries

from django_govuk_notify_outbox import delivery, figures, holds, sync
from django_govuk_notify_outbox.metrics import OutboxCollector
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL, Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS, Clock, MakeEmail
from tests.test_logging import WRONG_KEY, forbidden
from tests.test_sync import finished_rows

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operating.md").read_text()


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that knows of nothing but the outbox."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(OutboxCollector())
    return registry


def values(registry: CollectorRegistry) -> dict[str, float]:
    """All that Prometheus reads, without what is 0."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    told = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
    return {name.removeprefix("govuk_notify_outbox_"): value for name, value in told.items() if value}


def names(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name


def test_registering_reads_no_database(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        CollectorRegistry(auto_describe=True).register(OutboxCollector())


def test_without_emails_everything_is_0_and_there(registry: CollectorRegistry) -> None:
    assert values(registry) == {"up": 1, "recent_seconds": 300}
    told = generate_latest(registry).decode()
    for status in set(Status) - FINAL:
        assert f'govuk_notify_outbox_open_emails{{status="{status}"}} 0.0' in told
    for status in Status:
        assert f'govuk_notify_outbox_recent_changes{{status="{status}"}} 0.0' in told
    assert 'govuk_notify_outbox_recent_refusals{cause="key"} 0.0' in told
    assert "\ngovuk_notify_outbox_sync_worked_seconds " not in told


def test_the_backlog_is_told_with_its_age(clock: Clock, make_email: MakeEmail, registry: CollectorRegistry) -> None:
    make_email(Status.SENT_TO_NOTIFY)
    clock.move(10)
    for _ in range(2):
        make_email()
    clock.move(5)
    assert values(registry) == {
        "up": 1,
        'open_emails{status="sending-to-notify"}': 2,
        'open_emails{status="sent-to-notify"}': 1,
        'open_oldest_seconds{status="sending-to-notify"}': 5,
        'open_oldest_seconds{status="sent-to-notify"}': 15,
        'overdue_emails{next_step="send"}': 2,
        'overdue_emails{next_step="look_up"}': 1,
        'overdue_oldest_seconds{next_step="send"}': 5,
        'overdue_oldest_seconds{next_step="look_up"}': 15,
        "recent_seconds": 300,
    }


def test_what_happened_lately_is_told(clock: Clock, sandbox: Sandbox, registry: CollectorRegistry) -> None:
    for fault in (None, None, forbidden(WRONG_KEY), {"status": 429}):
        if fault:
            sandbox.add_fault(**fault)
        delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}).pk)
        clock.move(10)
    sync.run()
    assert holds.Lease(holds.SYNC, seconds=70).take()
    # The last was pushed in vain, and sent by sync; so was the one that met the wrong key
    assert values(registry) == {
        "up": 1,
        'open_emails{status="sent-to-notify"}': 2,
        'open_oldest_seconds{status="sent-to-notify"}': 20,
        'recent_attempts{outcome="accepted"}': 4,
        'recent_attempts{outcome="limited"}': 1,
        'recent_attempts{outcome="try-later"}': 1,
        'recent_refusals{cause="key"}': 1,
        'recent_changes{status="sent-to-notify"}': 4,
        'recent_changes{status="retrying-send-to-notify"}': 1,
        'recent_changes{status="notify-delivered"}': 2,
        "recent_seconds": 300,
        "sync_running": 1,
    }
    clock.move(301)
    assert not any(name.startswith("recent_") for name in values(registry) if name != "recent_seconds")


def test_a_limit_is_told_until_notify_accepts_again(
    clock: Clock, sandbox: Sandbox, registry: CollectorRegistry
) -> None:
    sandbox.add_fault(status=429)
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    clock.move(2)
    told = values(registry)
    assert (told["sending_held"], told["refused_seconds"]) == (1, 2)
    clock.move(10)
    sync.run()
    clock.move(3)
    told = values(registry)
    assert "sending_held" not in told
    assert "refused_seconds" not in told
    assert told["sync_worked_seconds"] == 3


def test_durations_are_told_on_average(make_email: MakeEmail, registry: CollectorRegistry) -> None:
    email = make_email(Status.NOTIFY_DELIVERED)
    for previous, seconds in (("sending-to-notify", 0.1), ("sending-to-notify", 0.2), ("retrying-send-to-notify", 0.6)):
        email.events.create(
            kind="attempt",
            outcome="accepted",
            previous_status=previous,
            status="sent-to-notify",
            source="sending",
            duration=seconds,
        )
    assert values(registry)['recent_attempts_duration_seconds{outcome="accepted"}'] == pytest.approx(0.3)


def test_of_very_many_events_it_is_told_how_far_back_they_reach(
    clock: Clock, sandbox: Sandbox, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_EVENTS", 2)
    for _ in range(4):
        delivery.deliver(send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"}).pk)
        clock.move(10)
    told = values(registry)
    assert (told['recent_attempts{outcome="accepted"}'], told["recent_seconds"]) == (2, 20)


def test_the_statements_are_as_many_with_thousands_of_emails_as_with_none(
    registry: CollectorRegistry, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with CaptureQueriesContext(connection) as queries:
        values(registry)
    finished_rows(2000)
    with django_assert_num_queries(len(queries)):
        values(registry)
    assert len(queries) <= 20


def test_a_database_that_does_not_answer_is_a_metric_and_no_error(registry: CollectorRegistry) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("could not connect")

    with connection.execute_wrapper(fail):
        assert generate_latest(registry).decode().splitlines()[-1] == "govuk_notify_outbox_up 0.0"
        assert list(names(registry)) == ["govuk_notify_outbox_up"]


def test_the_page_names_every_metric_and_its_queries_name_no_others() -> None:
    families = {family.name for family in OutboxCollector().describe()}
    _, _, section = PAGE.partition("\n## With Prometheus\n")
    table = re.findall(r"^\| `(govuk_notify_outbox_\w+)", section.partition("\n## ")[0], flags=re.MULTILINE)
    assert table == list(dict.fromkeys(table))
    assert set(table) == families
    used = set(re.findall(r"\bgovuk_notify_outbox_\w+", PAGE))
    assert used - set(get_commands()) == families


def test_the_pages_registration_and_view_work() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    apps, view = (next(code for code in blocks if text in code) for text in ("OutboxCollector", "generate_latest"))
    namespace: dict[str, Any] = {"urlpatterns": []}
    exec(apps, namespace)
    exec(view, namespace)
    before = set(REGISTRY._collector_to_names)
    namespace["AppointmentsConfig"].ready(None)
    try:
        answer = namespace["metrics"](None)
    finally:
        for collector in set(REGISTRY._collector_to_names) - before:
            REGISTRY.unregister(collector)
    assert b"govuk_notify_outbox_up 1.0" in answer.content
    assert b"python_info" in answer.content
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_answers_keeps_no_connection() -> None:
    left: list[object] = []

    def answer() -> None:
        told = [family.name for family in OutboxCollector().collect()]
        left.extend([told[0], connection.connection])

    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
    assert left == ["govuk_notify_outbox_up", None]

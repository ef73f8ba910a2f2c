"""Spans for OpenTelemetry: one for each step of an email, with nothing personal in them, and none without the extra."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import _Span as SdkSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from django_govuk_notify_outbox import __version__, delivery, holds, notify, sync, tasks, tracing, tracking, transitions
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import Exchange, Outcome
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock, MakeEmail
from tests.test_draining import LONG
from tests.test_privacy import FAULTS, QUOTING, SECRET, assert_no_mark, new_email
from tests.test_receipts import post, receipt_of, receipts_on
from tests.test_retrying import SERVER_ERROR
from tests.test_transitions import claim_for

__all__ = ["receipts_on"]

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "operating.md").read_text()
PREFIX = "govuk_notify_outbox."

#: A span as a test reads it: its name, that of its parent, and its attributes without what all of ours begin with.
Told = tuple[str, str, dict[str, Any]]


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        # Not the process's own: that can be set only once
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def told(self) -> list[Told]:
        """All of them, in the order in which they ended, which are then forgotten."""
        spans = self.all()
        self._exporter.clear()
        names: dict[tuple[int, int] | None, str] = {ids(span): short(span.name) for span in spans}
        return [(short(span.name), names.get(parent_ids(span), ""), attributes_of(span)) for span in spans]

    def named(self, *names: str) -> list[ReadableSpan]:
        return [span for span in self.all() if short(span.name) in names]


def short(name: str) -> str:
    return name.removeprefix(PREFIX)


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_ids(span: ReadableSpan) -> tuple[int, int] | None:
    return span.parent and (span.parent.trace_id, span.parent.span_id)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return {short(name): value for name, value in (span.attributes or {}).items()}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Spans of the library are kept in memory."""
    spans = Spans()
    tracer = spans.provider.get_tracer("django_govuk_notify_outbox", __version__)
    monkeypatch.setattr(tracing, "_tracer", tracer)
    return spans


@pytest.fixture
def without_opentelemetry(spans: Spans) -> Iterator[None]:
    """The library as it is where OpenTelemetry is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "opentelemetry", None)
        importlib.reload(tracing)
        yield
    importlib.reload(tracing)


class TestDelivery:
    """One email on its way to Notify."""

    def test_of_an_email_that_notify_accepts(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        email = new_email()
        assert spans.told() == []
        delivery.deliver(email.pk)
        email.refresh_from_db()
        pk = {"email_message_pk": email.pk}
        assert spans.told() == [
            ("claim", "deliver", pk),
            ("post", "deliver", pk | {"attempt": 1, "http.response.status_code": 201}),
            (
                "record",
                "deliver",
                pk
                | {"attempt": 1, "kind": "attempt", "outcome": "accepted"}
                | {"status": "sent-to-notify", "notify_id": str(email.notify_id)},
            ),
            ("deliver", "", pk),
        ]

    def test_of_an_email_that_notify_refuses(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        sandbox.add_fault(status=400, body=QUOTING)
        email = new_email()
        delivery.deliver(email.pk)
        (post,) = spans.named("post")
        assert (post.status.status_code, post.status.description) == (trace.StatusCode.ERROR, "400")
        # That is Notify's answer, and no error of ours
        others = spans.named("claim", "record", "deliver")
        assert [span.status.status_code for span in others] == [trace.StatusCode.UNSET] * 3
        pk = {"email_message_pk": email.pk}
        facts = {"attempt": 1, "kind": "attempt", "outcome": "refused", "status": "failed-send-to-notify"}
        assert spans.told() == [
            ("claim", "deliver", pk),
            ("post", "deliver", pk | {"attempt": 1, "http.response.status_code": 400, "error.type": "400"}),
            ("record", "deliver", pk | facts),
            ("deliver", "", pk),
        ]

    def test_of_an_email_that_is_asked_about_and_found(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        sandbox.add_fault(accept=True, cut=True)
        email = new_email()
        delivery.deliver(email.pk)
        pk = {"email_message_pk": email.pk}
        cut = {"error.type": email.events.get().exception}
        assert cut["error.type"].startswith("notifications_python_client.errors.HTTP")
        unclear = {"attempt": 1, "kind": "attempt", "outcome": "unclear", "status": "retrying-send-to-notify"}
        assert spans.told() == [
            ("claim", "deliver", pk),
            ("post", "deliver", pk | {"attempt": 1} | cut),
            ("record", "deliver", pk | unclear),
            ("deliver", "", pk),
        ]
        clock.move(5)
        delivery.deliver(email.pk)
        email.refresh_from_db()
        found = {"attempt": 1, "kind": "question", "outcome": "found", "status": "notify-delivered"}
        assert spans.told() == [
            ("claim", "deliver", pk),
            ("ask", "deliver", pk | {"attempt": 1, "http.response.status_code": 200}),
            ("record", "deliver", pk | found | {"notify_id": str(email.notify_id)}),
            ("deliver", "", pk),
        ]

    def test_of_an_email_that_is_asked_about_and_sent_again(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        sandbox.add_fault(**SERVER_ERROR)
        email = new_email()
        delivery.deliver(email.pk)
        spans.told()
        clock.move(5)
        delivery.deliver(email.pk)
        told = spans.told()
        assert [(name, parent) for name, parent, _ in told] == [
            ("claim", "deliver"),
            ("ask", "deliver"),
            ("claim", "deliver"),
            ("post", "deliver"),
            ("record", "deliver"),
            ("deliver", ""),
        ]
        assert told[1][2]["attempt"] == 1
        assert told[3][2]["attempt"] == 2
        assert (told[4][2]["attempt"], told[4][2]["outcome"]) == (2, "accepted")

    def test_requests_to_notify_are_those_of_a_client_and_all_else_is_internal(
        self, clock: Clock, sandbox: Sandbox, spans: Spans
    ) -> None:
        every_kind_of_span(clock, sandbox)
        kinds = {(short(span.name), span.kind) for span in spans.all()}
        assert {name for name, kind in kinds if kind is trace.SpanKind.CLIENT} == {"ask", "post"}
        assert {name for name, kind in kinds if kind is trace.SpanKind.INTERNAL} == {
            *("sync", "deliver", "look_up", "page", "claim", "record"),
        }

    def test_begins_below_the_span_that_is_open(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        email = new_email()
        with spans.provider.get_tracer("celery").start_as_current_span("task"):
            tasks.send(email.pk)
        assert [(name, parent) for name, parent, _ in spans.told()][-2:] == [("deliver", "task"), ("task", "")]

    def test_a_claim_that_another_worker_was_quicker_with_is_followed_by_nothing(
        self, clock: Clock, sandbox: Sandbox, spans: Spans
    ) -> None:
        email = new_email()
        holds.hold_sending()
        delivery.deliver(email.pk)
        assert [(name, parent) for name, parent, _ in spans.told()] == [("claim", "deliver"), ("deliver", "")]

    def test_a_result_that_came_too_late_is_told_to_be_lost(
        self, clock: Clock, make_email: MakeEmail, spans: Spans
    ) -> None:
        email = make_email(attempts=1)
        claim = claim_for(email)
        clock.move(1)
        EmailMessage.objects.filter(pk=email.pk).update(due_at=clock.now)
        assert not transitions.record_refused(claim, Exchange())
        ((_, _, attributes),) = spans.told()
        assert attributes == {
            "email_message_pk": email.pk,
            "attempt": 1,
            "kind": "attempt",
            "outcome": "refused",
            "status": "failed-send-to-notify",
            "lost": True,
        }


class TestTracking:
    """What becomes of what was sent."""

    def test_of_an_email_by_itself(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        email = new_email()
        delivery.deliver(email.pk)
        spans.told()
        clock.move(5)
        tracking.look_up(email.pk)
        email.refresh_from_db()
        pk = {"email_message_pk": email.pk}
        sent = pk | {"notify_id": str(email.notify_id)}
        assert spans.told() == [
            ("claim", "look_up", pk),
            ("ask", "look_up", sent | {"http.response.status_code": 200}),
            ("record", "look_up", sent | {"kind": "report", "status": "notify-delivered"}),
            ("look_up", "", pk),
        ]

    def test_that_notify_does_not_know_an_email_is_no_error_and_no_answer_is_one(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, spans: Spans
    ) -> None:
        tracking.look_up(make_email(Status.SENT_TO_NOTIFY).pk)
        sandbox.add_fault(on="GET", status=503)
        tracking.look_up(make_email(Status.SENT_TO_NOTIFY).pk)
        unknown, unanswered = spans.named("ask")
        assert attributes_of(unknown)["http.response.status_code"] == 404
        assert "error.type" not in attributes_of(unknown)
        assert unknown.status.status_code is trace.StatusCode.UNSET
        assert attributes_of(unanswered)["http.response.status_code"] == 503
        assert attributes_of(unanswered)["error.type"] == "503"
        assert unanswered.status.status_code is trace.StatusCode.ERROR

    def test_by_the_page(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        for _ in range(4):
            delivery.deliver(new_email().pk)
            clock.move(1)
        spans.told()
        clock.move(10)
        sync.run()
        told = spans.told()
        assert [(name, parent) for name, parent, _ in told] == [
            # The newest, so that the page may begin below it
            ("claim", "look_up"),
            ("ask", "look_up"),
            ("record", "look_up"),
            ("look_up", "sync"),
            ("ask", "page"),
            ("record", "page"),
            ("page", "sync"),
            ("sync", ""),
        ]
        assert [attributes for _, _, attributes in told[-4:]] == [
            {"http.response.status_code": 200},
            {"emails": 3},
            {},
            {},
        ]

    @pytest.mark.urls("tests.receipt_urls")
    @pytest.mark.usefixtures("receipts_on")
    def test_by_a_receipt(self, make_email: MakeEmail, spans: Spans) -> None:
        email = make_email(Status.SENT_TO_NOTIFY)
        with spans.provider.get_tracer("django").start_as_current_span("view"):
            assert post(receipt_of(email)).status_code == 204
        facts = {"kind": "report", "status": "notify-delivered", "notify_id": str(email.notify_id)}
        assert spans.told() == [("record", "view", {"email_message_pk": email.pk} | facts), ("view", "", {})]


class TestSync:
    """A run."""

    def test_without_work_leaves_no_span(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        tasks.sync()
        email = new_email()
        other = holds.Lease(holds.SYNC, seconds=70)
        assert other.take()
        clock.move(5)
        email.refresh_from_db()
        assert email.due_at is not None
        assert email.due_at <= clock.now
        tasks.sync()
        assert spans.all() == []

    @pytest.mark.django_db(transaction=True)
    def test_has_the_spans_of_all_its_threads_below_it(
        self,
        sandbox: Sandbox,
        make_email: MakeEmail,
        spans: Spans,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__SYNC_THREADS = 2
        emails = [make_email() for _ in range(4)]
        together, send, threads = threading.Barrier(2), notify.send, set()

        def send_two_at_a_time(*args: Any, **options: Any) -> Outcome:
            together.wait(LONG)
            threads.add(threading.current_thread().name)
            return send(*args, **options)

        monkeypatch.setattr(notify, "send", send_two_at_a_time)
        sync.run()
        assert threads == {"outbox-0", "outbox-1"}
        (run,) = spans.named("sync")
        deliveries = spans.named("deliver")
        assert {attributes_of(span)["email_message_pk"] for span in deliveries} == {email.pk for email in emails}
        assert {parent_ids(span) for span in deliveries} == {ids(run)}
        for name in ("claim", "post", "record"):
            parents = [parent_ids(span) for span in spans.named(name)]
            assert sorted(parents, key=str) == sorted(map(ids, deliveries), key=str)
        assert {ids(span)[0] for span in spans.all()} == {ids(run)[0]}
        # And this thread is where it was
        assert trace.get_current_span() is trace.INVALID_SPAN


class TestPrivacy:
    """What is in no span."""

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_nothing_personal_is_in_a_span_whatever_notify_does(
        self, clock: Clock, sandbox: Sandbox, spans: Spans, fault: dict[str, Any]
    ) -> None:
        if fault:
            sandbox.add_fault(**fault)
        email = new_email(reference=f"of {SECRET}")
        delivery.deliver(email.pk)
        for _ in range(4):
            clock.move(60)
            sync.run()
        assert spans.named("post")
        for span in spans.all():
            assert_no_mark(span.to_json())
            assert span.events == ()

    def test_nothing_personal_is_in_a_span_when_notify_cannot_be_reached_or_the_key_is_wrong(
        self, clock: Clock, sandbox: Sandbox, spans: Spans, settings: Settings
    ) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://127.0.0.1:9"
        emails = [new_email(), new_email()]
        delivery.deliver(emails[0].pk)
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = SECRET
        clock.move(60)
        delivery.deliver(emails[1].pk)
        for span in spans.all():
            assert_no_mark(span.to_json())
        assert [attributes_of(span)["error.type"] for span in spans.named("post")] == [
            emails[0].events.get().exception,
            "django.core.exceptions.ImproperlyConfigured",
        ]

    def test_of_an_exception_a_span_has_the_type_alone(self, clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
        email = new_email()

        def fail_to_write(execute: Any, sql: str, *args: Any) -> Any:
            if sql.startswith("UPDATE"):
                raise DatabaseError(f"Failing row contains ({SECRET})")
            return execute(sql, *args)

        with connection.execute_wrapper(fail_to_write), pytest.raises(DatabaseError):
            delivery.deliver(email.pk)
        assert [short(span.name) for span in spans.all()] == ["claim", "deliver"]
        for span in spans.all():
            assert attributes_of(span) == {"email_message_pk": email.pk, "error.type": "django.db.utils.DatabaseError"}
            assert span.status.status_code is trace.StatusCode.ERROR
            assert span.status.description == "django.db.utils.DatabaseError"
            assert span.events == ()
            assert_no_mark(span.to_json())


def every_kind_of_span(clock: Clock, sandbox: Sandbox) -> None:
    """Let happen whatever a span can tell."""
    faults: list[dict[str, Any]] = [{"status": 400, "body": QUOTING}, {"cut": True}, {}, {}, {}, {}]
    for fault in faults:
        if fault:
            sandbox.add_fault(**fault)
        delivery.deliver(new_email().pk)
        clock.move(1)
    clock.move(10)
    sync.run()
    sandbox.add_fault(on="GET", cut=True)
    clock.move(60)
    late = new_email()
    claim = claim_for(late)
    delivery.deliver(late.pk)
    transitions.record_refused(claim, Exchange())
    clock.move(60)
    sync.run()


def test_the_page_names_every_span_and_every_attribute(clock: Clock, sandbox: Sandbox, spans: Spans) -> None:
    every_kind_of_span(clock, sandbox)
    section = PAGE.split("## With OpenTelemetry\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \|", section, flags=re.MULTILINE)
    assert rows == list(dict.fromkeys(rows))
    spans_named = {span.name for span in spans.all()}
    attributes = {name for span in spans.all() for name in span.attributes or {}}
    assert set(rows) == spans_named | attributes
    # The parents that the table gives, if they are not another instrumentation's
    told = {(name, parent) for name, parent, _ in spans.told() if parent}
    cells = re.findall(r"^\| `govuk_notify_outbox\.(\w+)` \| ([^|]*\w[^|]*) \| [^|]+ \|$", section, flags=re.MULTILINE)
    assert {(name, parent) for name, cell in cells for parent in re.findall(r"`(\w+)`", cell)} == told


class TestWithoutOpenTelemetry:
    """The extra is not installed."""

    @pytest.mark.usefixtures("without_opentelemetry")
    def test_emails_are_sent_and_followed_and_no_span_exists(
        self, clock: Clock, sandbox: Sandbox, spans: Spans
    ) -> None:
        every_kind_of_span(clock, sandbox)
        statuses = EmailMessage.objects.values_list("status", flat=True)
        assert set(statuses) >= {Status.NOTIFY_DELIVERED, Status.FAILED_SEND_TO_NOTIFY}
        assert spans.all() == []

    @pytest.mark.usefixtures("without_opentelemetry")
    def test_a_span_is_nothing_new_and_threads_call_what_they_would_call(self) -> None:
        assert tracing.span("claim", email=1) is tracing.request("post", email=2)
        assert tracing.carried(holds.avoid_list) is holds.avoid_list

    def test_every_module_can_be_imported(self) -> None:
        script = (
            "import sys; sys.modules['opentelemetry'] = None\n"
            "import django; django.setup()\n"
            "from django_govuk_notify_outbox import tasks, tracing, urls\n"
            "print(tracing._tracer)"
        )
        assert run(script) == "None"


def test_spans_go_to_the_projects_own_provider_also_if_that_is_set_later() -> None:
    script = """
import json
from django_govuk_notify_outbox import tracing
with tracing.span("before"):
    pass
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with tracing.span("after", email=1):
    pass
(span,) = exporter.get_finished_spans()
scope = span.instrumentation_scope
print(json.dumps([span.name, scope.name, scope.version]))
"""
    assert json.loads(run(script)) == [f"{PREFIX}after", "django_govuk_notify_outbox", __version__]


class Failing(SpanProcessor):
    """What a project may have set up: it fails whenever a span begins, or ends."""

    def __init__(self, *moments: str) -> None:
        self._moments = moments

    def on_start(self, span: object, parent_context: object = None) -> None:
        if "start" in self._moments:
            raise RuntimeError(SECRET)

    def on_end(self, span: object) -> None:
        if "end" in self._moments:
            raise RuntimeError(SECRET)


@pytest.mark.parametrize("moment", ["start", "end", "attribute", "status"])
def test_what_fails_in_a_provider_keeps_no_email_from_being_sent_and_followed(
    clock: Clock,
    sandbox: Sandbox,
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    moment: str,
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError(SECRET)

    spans.provider.add_span_processor(Failing(moment))
    if moment in ("attribute", "status"):
        for name in ("set_attribute", "set_attributes") if moment == "attribute" else ("set_status",):
            monkeypatch.setattr(SdkSpan, name, fail)
    accepted, unclear, refused = new_email(), new_email(), new_email(personalisation={})
    tasks.send(accepted.pk)
    sandbox.add_fault(cut=True, accept=True)
    tasks.send(unclear.pk)
    tasks.send(refused.pk)
    clock.move(70)
    sync.run()
    clock.move(5)
    sync.run()
    assert list(EmailMessage.objects.order_by("pk").values_list("status", flat=True)) == [
        Status.NOTIFY_DELIVERED,
        Status.NOTIFY_DELIVERED,
        Status.FAILED_SEND_TO_NOTIFY,
    ]
    assert len(sandbox.emails()) == 2
    assert SECRET not in caplog.text


def test_what_is_raised_within_a_span_comes_out_of_it_as_it_was_whatever_fails_in_the_provider(spans: Spans) -> None:
    spans.provider.add_span_processor(Failing("start", "end"))
    with pytest.raises(KeyError), tracing.span("record"):
        raise KeyError


def run(script: str) -> str:
    """What a Python of its own prints: a provider can be set only once in a process."""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return answer.stdout.strip()

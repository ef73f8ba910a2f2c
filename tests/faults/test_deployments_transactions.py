"""Transactions around the caller and around the tasks: ATOMIC_REQUESTS, eager tasks, autocommit turned off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from celery.result import EagerResult
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, TestCase
from django.urls import path
from pytest_django import Settings

from django_govuk_notify_outbox import conf, durability, tasks
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import PUSH_HEAD_START
from tests.conftest import Clock, MakeEmail, pushed
from tests.linking.models import Licence
from tests.project import Project, accepted_references, fates
from tests.test_end_to_end import send

REFUSAL = "Emails cannot be sent from within a transaction"

transactional = pytest.mark.django_db(transaction=True)


def assert_refused(called: EagerResult[None]) -> None:
    """The task failed, and said why."""
    assert isinstance(called.result, transaction.TransactionManagementError)
    assert REFUSAL in str(called.result)


def commit(request: HttpRequest) -> HttpResponse:
    """Send, and say what the broker and Notify have heard by the end of the view."""
    email = send()
    heard = [*pushed(), *Sandbox(conf.base_url()).requests()]
    return JsonResponse({"pk": email.pk, "reference": email.reference, "heard": len(heard)})


def fail(request: HttpRequest) -> HttpResponse:
    send()
    raise ZeroDivisionError


def roll_back(request: HttpRequest) -> HttpResponse:
    """Send, and think better of it without raising anything."""
    send()
    transaction.set_rollback(True)
    return HttpResponse(status=409)


urlpatterns = [path("commit", commit), path("fail", fail), path("roll-back", roll_back)]


@transactional
class TestAtomicRequests:
    """With ATOMIC_REQUESTS each view is a transaction."""

    @pytest.fixture(autouse=True)
    def _atomic_requests(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.ROOT_URLCONF = __name__
        monkeypatch.setitem(connections.settings[DEFAULT_DB_ALIAS], "ATOMIC_REQUESTS", True)

    def test_a_view_that_returns_pushes_after_its_commit(self, client: Client, sandbox: Sandbox) -> None:
        answer = client.get("/commit").json()
        assert answer["heard"] == 0
        assert [message.payload[0] for message in pushed()] == [[answer["pk"]]]

    def test_a_view_that_returns_sends_after_its_commit(
        self, client: Client, sandbox: Sandbox, eager_tasks: None
    ) -> None:
        answer = client.get("/commit").json()
        assert answer["heard"] == 0
        assert accepted_references(sandbox) == [answer["reference"]]
        assert fates() == {Status.SENT_TO_NOTIFY: 1}

    @pytest.mark.parametrize(("view", "status"), [("fail", 500), ("roll-back", 409)])
    def test_a_view_that_rolls_back_sends_nothing_and_leaves_no_row(
        self, client: Client, sandbox: Sandbox, eager_tasks: None, view: str, status: int
    ) -> None:
        client.raise_request_exception = False
        assert client.get(f"/{view}").status_code == status
        tasks.sync()
        assert sandbox.requests() == []
        assert fates() == {}


@pytest.mark.usefixtures("eager_tasks", "sandbox")
class TestEagerTasksInTestsOfUsers(TestCase):
    """Django's TestCase wraps each test in a transaction, which is no reason to refuse."""

    def test_an_email_is_sent_when_the_test_runs_what_is_to_be_run_on_commit(self) -> None:
        sandbox = Sandbox(conf.base_url())
        with self.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
            email = send()
            assert sandbox.requests() == []
        assert len(callbacks) == 1
        assert accepted_references(sandbox) == [email.reference]
        email.refresh_from_db()
        assert email.status == Status.SENT_TO_NOTIFY

    def test_an_email_is_not_sent_when_the_test_does_not(self) -> None:
        send()
        assert Sandbox(conf.base_url()).requests() == []
        assert fates() == {Status.SENDING_TO_NOTIFY: 1}


@pytest.mark.django_db
def test_an_eager_email_is_sent_in_a_test_of_pytest_django(
    sandbox: Sandbox,
    eager_tasks: None,
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[list[Callable[[], object]]]],
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        email = send()
        assert sandbox.requests() == []
    assert accepted_references(sandbox) == [email.reference]
    assert fates() == {Status.SENT_TO_NOTIFY: 1}


@transactional
class TestEagerTasks:
    """Tasks that run where they are called, in whatever transaction is open there."""

    def test_an_email_is_sent_once_after_the_outermost_commit(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with transaction.atomic():
            with transaction.atomic():
                email = send()
            assert sandbox.requests() == []
        tasks.sync()
        assert accepted_references(sandbox) == [email.reference]
        assert fates() == {Status.SENT_TO_NOTIFY: 1}

    def test_an_email_that_is_rolled_back_is_not_sent(self, sandbox: Sandbox, eager_tasks: None) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            send()
            raise ZeroDivisionError
        tasks.sync()
        assert sandbox.requests() == []
        assert fates() == {}

    def test_sending_within_a_transaction_is_refused_and_the_email_is_sent_after_it(
        self, sandbox: Sandbox, eager_tasks: None
    ) -> None:
        with transaction.atomic():
            email = send()
            assert_refused(tasks.send.apply((email.pk,)))
            assert sandbox.requests() == []
        assert accepted_references(sandbox) == [email.reference]

    @pytest.mark.parametrize("unclear", [False, True])
    def test_whatever_would_ask_or_post_within_a_transaction_is_refused_and_changes_nothing(
        self, clock: Clock, sandbox: Sandbox, make_email: MakeEmail, unclear: bool
    ) -> None:
        email = make_email(Status.RETRYING_SEND_TO_NOTIFY, unclear_until=clock.now if unclear else None)
        before = EmailMessage.objects.values().get()
        with transaction.atomic():
            assert_refused(tasks.send.apply((email.pk,)))
        with transaction.atomic():
            assert_refused(tasks.sync.apply())
        assert sandbox.requests() == []
        assert EmailMessage.objects.values().get() == before
        assert email.events.count() == 0
        tasks.send(email.pk)
        assert accepted_references(sandbox) == [email.reference]


@pytest.fixture
def without_autocommit(transactional_db: None) -> Iterator[None]:
    """Transactions that begin by themselves and end when the caller says so."""
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


@transactional
def test_without_autocommit_nothing_is_sent_and_the_callers_transaction_goes_on(
    clock: Clock, sandbox: Sandbox, eager_tasks: None, without_autocommit: None
) -> None:
    licence = Licence.objects.create(decision=send())
    clock.move(PUSH_HEAD_START)
    assert licence.decision is not None
    assert_refused(tasks.send.apply((licence.decision.pk,)))
    assert_refused(tasks.sync.apply())
    assert sandbox.requests() == []
    transaction.commit()
    transaction.set_autocommit(True)
    licence.refresh_from_db()
    assert (licence.decision.status, licence.decision.attempts) == (Status.SENDING_TO_NOTIFY, 0)
    tasks.sync()
    assert accepted_references(sandbox) == [licence.decision.reference]


@pytest.mark.e2e
@transactional
def test_a_worker_whose_tasks_run_in_a_transaction_refuses_to_send_and_says_what_to_do(
    project: Project, sandbox: Sandbox, make_email: MakeEmail
) -> None:
    email = make_email()
    tasks.push(email.pk)
    # The later --app counts
    with project.running("--app", "tests.faults.atomic_tasks", "worker", "--concurrency=1"), project.running("beat"):
        ends_at = time.monotonic() + 60
        while not all(f"Task {task.name}[" in project.log("--app") for task in (tasks.send, tasks.sync)):
            assert time.monotonic() < ends_at, project.log("--app")
            time.sleep(0.1)
        log = project.log("--app")
    assert REFUSAL in log
    assert "its base class opens a transaction: leave this app's tasks out of that" in log
    assert sandbox.requests() == []
    email.refresh_from_db()
    assert (email.status, email.attempts, email.events.count()) == (Status.SENDING_TO_NOTIFY, 0, 0)
    tasks.send(email.pk)
    assert accepted_references(sandbox) == [email.reference]


def enter_transaction() -> None:
    transaction.atomic().__enter__()


def turn_autocommit_off() -> None:
    transaction.set_autocommit(False)


@transactional
@pytest.mark.parametrize("leave_behind", [enter_transaction, turn_autocommit_off])
def test_a_task_interrupted_on_the_edge_of_a_transaction_leaves_no_trace_in_the_next(
    sandbox: Sandbox, leave_behind: Callable[[], None]
) -> None:
    email = send()
    with pytest.raises(ZeroDivisionError), durability.broken_connection_dropped():
        # As Celery's time limit does when it strikes between a transaction and its block
        leave_behind()
        raise ZeroDivisionError
    assert not transaction.get_connection().in_atomic_block
    assert transaction.get_autocommit()
    tasks.send(email.pk)
    assert [accepted["reference"] for accepted in sandbox.emails()] == [email.reference]

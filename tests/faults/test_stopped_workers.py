"""Workers that are stopped, killed, or out of time by Celery's limits, while Notify takes its time to answer."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import ADDRESS, BROKER_OF_WORKERS, MakeEmail
from tests.faults.proxy import Proxy, running_proxy
from tests.faults.recovery import (
    assert_claimed,
    assert_found_when_due,
    settle,
    sync_once,
    wait_until,
    worker_arguments,
)
from tests.faults.services import Redis, is_redis_there
from tests.project import Project, accepted_references, fates, joined
from tests.test_retrying import posts
from tests.test_unclear import new_email, outcomes

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

#: Longer than any test lasts: it is not this timeout that ends a request.
TIMEOUT = 60
LIMITS = {"soft": ("--soft-time-limit", "2"), "hard": ("--time-limit", "2")}


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The broker of the suite; in place of none a Redis if there is one, which workers leave in a third of the time."""
    if BROKER_OF_WORKERS or not is_redis_there():
        yield BROKER_OF_WORKERS
        return
    with Redis() as redis:
        yield redis.url


@pytest.fixture
def project(broker: str, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The tests' project on that broker."""
    project = Project(tmp_path, sandbox, broker=broker)
    with joined(project, monkeypatch):
        yield project


@pytest.fixture
def proxy(sandbox: Sandbox, project: Project) -> Iterator[Proxy]:
    """A stand before the sandbox, to which the workers are sent."""
    with running_proxy(sandbox.base_url) as proxy:
        project.environment |= {"NOTIFY_BASE_URL": proxy.url, "NOTIFY_TIMEOUT": str(TIMEOUT)}
        yield proxy


def send_another(project: Project) -> EmailMessage:
    """An email that the worker sends after all this, as if nothing had been."""
    email = new_email(email_address="another@example.com")
    wait_until(lambda: outcomes(email) == ["accepted"], partial(project.log, "worker"))
    return email


def test_a_worker_that_is_told_to_stop_finishes_the_email_that_it_is_at(
    project: Project, sandbox: Sandbox, proxy: Proxy
) -> None:
    answer = proxy.hold_answer(ADDRESS)
    with project.running(*worker_arguments("--concurrency", "1")) as process:
        email = new_email()
        answer.wait()
        process.terminate()
        wait_until(lambda: "Warm shutdown" in project.log("worker"))
        answer.release()
        assert process.wait(30) == 0
    email.refresh_from_db()
    assert (email.status, email.attempts, outcomes(email)) == (Status.SENT_TO_NOTIFY, 1, ["accepted"])
    assert accepted_references(sandbox) == [email.reference]
    assert posts(sandbox) == 1


@pytest.mark.parametrize(
    ("number", "pool"),
    [(signal.SIGQUIT, ("prefork", "--concurrency", "1")), (signal.SIGKILL, ("solo",))],
    ids=["SIGQUIT", "SIGKILL"],
)
def test_a_worker_that_stops_at_once_leaves_an_email_that_is_found_and_not_sent_again(
    project: Project, sandbox: Sandbox, proxy: Proxy, number: signal.Signals, pool: tuple[str, ...]
) -> None:
    answer = proxy.hold_answer(ADDRESS)
    with project.running(*worker_arguments("--pool", *pool)) as process:
        email = new_email()
        answer.wait()
        process.send_signal(number)
        process.wait(30)
    assert_claimed(email, timeout=TIMEOUT)
    assert_found_when_due(email, sandbox)


@pytest.mark.parametrize("limit", LIMITS)
def test_emails_whose_task_ran_into_a_time_limit_are_asked_about_and_accepted_once_each(
    project: Project, sandbox: Sandbox, proxy: Proxy, limit: str
) -> None:
    held = {
        "accepted@example.com": proxy.hold_answer("accepted@example.com"),
        "late@example.com": proxy.hold_request("late@example.com"),
        "never@example.com": proxy.hold_request("never@example.com"),
    }
    with project.running(*worker_arguments("--concurrency", "3", *LIMITS[limit])):
        emails = {address: new_email(email_address=address) for address in held}
        for catch in held.values():
            catch.wait()
            catch.wait_until_hung_up()
        emails["another@example.com"] = send_another(project)
    for address in held:
        assert_claimed(emails[address], timeout=TIMEOUT)
    # The worker is gone, but its request is on its way still
    held["late@example.com"].release()
    wait_until(lambda: len(sandbox.emails()) == 3)
    held["never@example.com"].drop()
    settle(sandbox)
    accepted, late, never, another = emails.values()
    assert outcomes(another) == ["accepted", "delivered"]
    assert outcomes(accepted) == ["found"]
    assert outcomes(late) == ["found"]
    assert outcomes(never) == ["not-found-yet", "not-found", "accepted", "delivered"]
    assert fates() == {Status.NOTIFY_DELIVERED: 4}
    assert accepted_references(sandbox) == sorted(email.reference for email in emails.values())
    assert posts(sandbox) == 4


@pytest.mark.parametrize("limit", LIMITS)
def test_a_sync_run_that_ran_into_a_time_limit_ends_there_and_the_worker_goes_on(
    project: Project, sandbox: Sandbox, proxy: Proxy, make_email: MakeEmail, limit: str
) -> None:
    now = timezone.now()
    struck, *others = [
        make_email(email_address=f"{number}@example.com", due_at=now - dt.timedelta(seconds=10 - number))
        for number in range(3)
    ]
    answer = proxy.hold_answer(struck.email_address)
    with project.running(*worker_arguments("--concurrency", "1", *LIMITS[limit])):
        sync_once()
        answer.wait()
        # The one process that there is does this when sync has ended
        another = send_another(project)
        assert_claimed(struck, timeout=TIMEOUT)
        if limit == "soft":
            # The thread that waits for the answer still has it recorded
            answer.release()
            wait_until(lambda: outcomes(struck) == ["accepted"], partial(project.log, "worker"))
        else:
            answer.wait_until_hung_up()
    settle(sandbox)
    assert [outcomes(email)[0] for email in (*others, another)] == ["accepted"] * 3
    assert outcomes(struck)[0] == ("accepted" if limit == "soft" else "found")
    assert fates() == {Status.NOTIFY_DELIVERED: 4}
    assert posts(sandbox) == 4

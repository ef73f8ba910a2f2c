"""A reference of the caller's may stand for a whole batch, and two emails of a batch may be alike."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from django_govuk_notify_outbox import delivery
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import Clock
from tests.faults.conftest import Aftermath
from tests.faults.test_answers import SILENCES, new_email
from tests.test_retrying import SERVER_ERROR, posts

pytestmark = pytest.mark.django_db


def assert_each_holds_its_own(sandbox: Sandbox) -> None:
    """Every row holds one notification, with its own address and personalisation, and no notification is left over."""
    rows = {str(email.notify_id): email for email in EmailMessage.objects.all()}
    accepted = sandbox.emails()
    assert len(accepted) == len(rows) == EmailMessage.objects.count()
    assert set(rows) == {each["id"] for each in accepted}
    for each in accepted:
        row = rows[each["id"]]
        assert row.status == Status.NOTIFY_DELIVERED
        assert (each["reference"], each["personalisation"]) == (row.reference, row.personalisation)


def test_two_emails_that_are_alike_in_everything_are_two_emails(clock: Clock, sandbox: Sandbox) -> None:
    emails = [new_email(reference="batch") for _ in range(2)]
    for email in emails:
        delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == 2


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("accept", [True, False])
def test_the_lost_answer_to_one_of_two_that_are_alike_costs_neither(
    clock: Clock, sandbox: Sandbox, lost: int, accept: bool
) -> None:
    emails = [new_email(reference="batch") for _ in range(2)]
    for number, email in enumerate(emails):
        if number == lost:
            sandbox.add_fault(accept=accept, cut=True)
        delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == (2 if accept else 3)


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_two_lost_answers_of_two_that_are_alike_cost_neither(clock: Clock, sandbox: Sandbox, accepted: int) -> None:
    emails = [new_email(reference="batch") for _ in range(2)]
    for number, email in enumerate(emails):
        sandbox.add_fault(accept=number < accepted, cut=True)
        delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == 4 - accepted


def test_an_email_is_never_matched_to_the_notification_of_another_address(clock: Clock, sandbox: Sandbox) -> None:
    others = [new_email(reference="batch", email_address=f"other-{number}@example.com") for number in range(3)]
    email = new_email(reference="batch")
    for other in others:
        sandbox.add_fault(accept=True, cut=True)
        delivery.deliver(other.pk)
    sandbox.add_fault(cut=True)
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == 5


@pytest.mark.parametrize("address", [" Amala@Example.COM", "amala@example.com\n", "\u200bAMALA@example.com "])
def test_an_address_that_notify_normalises_is_recognised(clock: Clock, sandbox: Sandbox, address: str) -> None:
    sandbox.add_fault(accept=True, cut=True)
    email = new_email(reference="batch", email_address=address)
    delivery.deliver(email.pk)
    Aftermath(clock).settle()
    email.refresh_from_db()
    assert email.status == Status.NOTIFY_DELIVERED
    assert [each["id"] for each in sandbox.emails()] == [str(email.notify_id)]
    assert posts(sandbox) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_in_which_half_of_the_answers_are_lost_is_sent_once_each(
    clock: Clock, sandbox: Sandbox, seed: int
) -> None:
    dice = random.Random(seed)
    for number in range(24):
        # Two of each name at the same address: alike in everything
        new_email(reference="batch", personalisation={"name": f"Recipient {number % 12}"})
    silences = [SILENCES["a connection that is cut"], SILENCES["502 with HTML"], SERVER_ERROR]
    for pk in dice.sample(list(EmailMessage.objects.values_list("pk", flat=True)), 24):
        if dice.random() < 0.5:
            sandbox.add_fault(accept=dice.random() < 0.5, **dice.choice(silences))
        delivery.deliver(pk)
        clock.move(dice.random())
    Aftermath(clock).settle()
    names = Counter(each["personalisation"]["name"] for each in sandbox.emails())
    assert names == Counter({f"Recipient {number}": 2 for number in range(12)})
    assert_each_holds_its_own(sandbox)


@pytest.mark.parametrize("late", [{"cut": True, "accept": True, "hidden_for": 40}, {"cut": True}])
def test_a_match_waits_while_the_emails_own_request_may_be_under_way(
    clock: Clock, sandbox: Sandbox, late: dict[str, Any]
) -> None:
    # Of the first nobody knows anything yet; the second was accepted, and Notify said that something went wrong
    first, second = new_email(reference="batch"), new_email(reference="batch")
    sandbox.add_fault(**late)
    delivery.deliver(first.pk)
    sandbox.add_fault(accept=True, **SERVER_ERROR)
    delivery.deliver(second.pk)
    Aftermath(clock).settle()
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == (2 if "accept" in late else 3)


def test_a_name_that_stands_in_the_template_too_takes_no_notification_from_another(
    clock: Clock, sandbox: Sandbox
) -> None:
    # "This email comes from the sandbox": the second name is in every email
    names = ["Al", "sandbox"]
    for name in names:
        sandbox.add_fault(accept=True, **SERVER_ERROR)
        delivery.deliver(new_email(reference="batch", personalisation={"name": name}).pk)
    Aftermath(clock).settle()
    assert sorted(each["personalisation"]["name"] for each in sandbox.emails()) == names
    assert_each_holds_its_own(sandbox)
    assert posts(sandbox) == 2

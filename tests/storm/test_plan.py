"""A storm is replayed by its number: the same faults at the same times, and the same emails."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any
from unittest.mock import Mock

import pytest

from django_govuk_notify_outbox.sandbox.control import Sandbox
from tests.storm import plan
from tests.storm.__main__ import main
from tests.storm.deeds import BOUNCING, KINDS, deeds
from tests.storm.monkey import Monkey

PLACES = [("sqlite", "folder"), ("postgresql", "amqp"), ("mysql", "redis")]


def strikes(
    seed: int, *, seconds: float = 600, database: str = "postgresql", broker: str = "amqp"
) -> list[plan.Strike]:
    return plan.strikes(seed, seconds=seconds, rate=1.5, database=database, broker=broker)


def test_the_same_number_is_the_same_storm_and_another_number_another() -> None:
    assert strikes(7) == strikes(7)
    assert strikes(7) != strikes(8)
    assert list(islice(deeds(7, 0), 500)) == list(islice(deeds(7, 0), 500))
    assert list(islice(deeds(7, 0), 500)) != list(islice(deeds(7, 1), 500))


@pytest.mark.parametrize(("database", "broker"), PLACES)
def test_a_schedule_has_every_kind_of_fault_in_its_time(database: str, broker: str) -> None:
    schedule = strikes(7, database=database, broker=broker)
    assert len(schedule) == 900
    assert {strike.kind for strike in schedule} == set(plan.kinds_for(database, broker))
    times = [strike.at for strike in schedule]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 600


def test_a_short_schedule_has_many_kinds_of_faults_too() -> None:
    schedule = strikes(7, seconds=20)
    assert len(schedule) == 30
    assert len({strike.kind for strike in schedule}) > 15


def test_a_worker_is_stopped_for_longer_than_its_lease_early_enough_to_be_back_soon_after_the_storm() -> None:
    for seconds in (10, 60, 600):
        stops = [each for each in strikes(7, seconds=seconds) if each.kind == "stop worker beyond its lease"]
        assert all(each.values["seconds"] >= 34 for each in stops)
        assert all(each.at + each.values["seconds"] <= max(seconds + 2, 41) for each in stops)


@pytest.mark.parametrize(("database", "broker"), PLACES)
def test_every_kind_of_fault_can_be_played(database: str, broker: str) -> None:
    monkey = Monkey(Mock(), Mock(), Mock(), Mock(), print)
    assert set(plan.kinds_for(database, broker)) <= set(monkey.players)
    assert set(monkey.players) == set(plan.KINDS)


@pytest.mark.django_db
def test_every_fault_at_notify_is_one_that_the_sandbox_knows(sandbox: Sandbox) -> None:
    rules: dict[str, dict[str, Any]] = {each.kind: each.values for each in strikes(7) if "Notify: " in each.kind}
    added = [rule for rule in rules.values() if "times" in rule]
    for rule in added:
        sandbox.add_fault(**rule)
    assert len(added) == len(rules) - 3  # two are the proxy's, one is made of two


def test_emails_of_every_kind_are_sent_and_no_two_can_be_taken_for_each_other_unless_they_are_identical() -> None:
    done = list(islice(deeds(7, 0), 2000))
    assert {deed.kind for deed in done} == set(KINDS)
    assert [deed.number for deed in done] == list(range(2000))
    letters = [letter for deed in done for letter in deed.letters]
    assert all(letter.address.strip().lower() for letter in letters)
    assert any(letter.address != letter.address.strip().lower() for letter in letters)
    assert {letter.address for letter in letters} >= set(BOUNCING)
    assert any(letter.refused for letter in letters)
    assert any(not letter.kept for letter in letters)
    times = Counter(letter.token for letter in letters)
    assert set(times.values()) == {1, 2}
    assert len(set(letters)) == len(times)


def test_emails_that_are_tried_again_can_be_told_from_those_of_before() -> None:
    deed = next(deed for deed in deeds(7, 0) if len(deed.letters) > 1)
    again = deed.again(1)
    assert {letter.token for letter in again.letters}.isdisjoint(letter.token for letter in deed.letters)
    assert [letter.address for letter in again.letters] == [letter.address for letter in deed.letters]


def test_the_plan_is_printed_and_nothing_else_happens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plan", "--seed", "7", "--seconds", "20", "--rate", "1"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert last.startswith("20: ")

"""What docs/guarantees.md says was tried is what the tests of faults try, and its figures are the library's own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from django_govuk_notify_outbox import claims, conf, holds, transitions, utils
from tests.faults import conftest as faults

FOLDER = Path(__file__).resolve().parent / "faults"
PAGE = (Path(__file__).resolve().parents[1] / "docs" / "guarantees.md").read_text()
NAMED: list[str] = re.findall(r"`(test_\w+)`", PAGE)
TESTS = [
    node.name
    for path in sorted(FOLDER.glob("test_*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]


def rows_after(heading: str) -> list[list[str]]:
    """The cells of the tables in a section, without their heads."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith(f"{heading}\n")]
    bodies = re.findall(r"^\| ---.*\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    assert bodies
    return [[cell.strip() for cell in line.strip("|").split("|")] for body in bodies for line in body.splitlines()]


def test_every_test_of_a_fault_has_its_place_in_the_table_and_every_place_its_test() -> None:
    assert len(TESTS) == len(set(TESTS))
    assert sorted(NAMED) == sorted(TESTS)


def test_every_row_names_a_fault_what_comes_of_it_and_a_test() -> None:
    for fault, comes_of_it, tests in rows_after("What was tried"):
        assert fault
        assert comes_of_it
        assert re.fullmatch(r"`test_\w+`(<br>`test_\w+`)*", tests), fault


def test_the_times_of_recovery_are_those_of_the_library() -> None:
    interval = conf.retry_interval(1)
    assert (
        utils.PUSH_HEAD_START,
        claims.lease_seconds(),
        claims.unclear_seconds(),
    ) == (faults.HEAD_START, faults.LEASE, faults.BELIEVED)
    assert conf.timeout() == 30
    assert claims.lease_seconds() == 2 * conf.timeout() + 10 == 70
    assert claims.unclear_seconds() == 4 * conf.timeout() + 10 == 130
    assert interval == holds.SENDING_HOLD == transitions.ASK_AFTER == 5


@pytest.mark.parametrize("number", range(len(rows_after("How soon an email is on its way again"))))
def test_the_figures_by_default_follow_from_the_formulas(number: int) -> None:
    values = {"5 seconds": 5, "the retry interval": 5, "2 × TIMEOUT + 10": 70, "4 × TIMEOUT + 10": 130}
    _, formula, by_default = rows_after("How soon an email is on its way again")[number]
    if not re.fullmatch(r"\d+ s", by_default):
        # Two cases, or no figure
        assert by_default in {"", "70 s, 135 s"}
        return
    seconds = max((value for term, value in values.items() if term in formula), default=5)
    seconds += faults.SYNC_INTERVAL if "sync interval" in formula else 0
    assert by_default == f"{seconds} s"

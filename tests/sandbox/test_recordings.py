"""The sandbox answers as Notify did: requests recorded from it, sent again."""

from __future__ import annotations

import pytest
from django.test import Client

from django_govuk_notify_outbox.sandbox.models import Notification

from . import accounts, recorded
from .recorded import Row

#: Each is an answer by itself, whatever was sent before.
_SINGLE = recorded.rows(
    "post.", "auth.", "misc.", "template.", "templates.", "http.", "same-reference.", "outage.redis.", "client."
)


@pytest.mark.django_db
@pytest.mark.usefixtures("recorded_world")
@pytest.mark.parametrize("row", _SINGLE, ids=[row["name"] for row in _SINGLE])
def test_sandbox_answers_as_notify_did(client: Client, row: Row) -> None:
    response = recorded.send(client, row)

    recorded.check(response, row)
    address = (row["request"].get("json") or {}) if row["request"]["method"] == "POST" else {}
    is_simulated = "simulate-delivered" in str(address).lower()
    is_accepted = row["response"]["status"] == 201
    assert Notification.objects.count() == (1 if is_accepted and not is_simulated else 0)


def test_every_row_is_replayed_told_or_left_out_for_a_reason() -> None:
    names = [row["name"] for row in recorded.ROWS]
    apart = {*accounts.FACTS, *accounts.EXCLUDED}

    assert len(names) == len(set(names)) == 387
    assert apart <= set(names)
    assert not set(accounts.FACTS) & set(accounts.EXCLUDED)
    groups = ("post.", "auth.", "misc.", "template.", "templates.", "http.", "same-reference.", "outage.", "get.",
              "rate.", "daily.", "template-edit.", "callback.", "client.")  # fmt: skip
    assert {row["name"] for row in recorded.rows(*groups)} | apart == set(names)

"""The thread that posts receipts, in a project that the sandbox is mounted in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from django_govuk_notify_outbox.sandbox import receipts
from django_govuk_notify_outbox.sandbox.models import Receipt

from .conftest import Api
from .receiver import Receiver, running_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A service that was sent nothing yet."""
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def told(transactional_db: None, api: Api, receiver: Receiver) -> Iterator[Api]:
    """A sandbox that posts receipts to the receiver at once. No thread of it is left at the end."""
    api.control("callback", url=f"{receiver.url}/ok", token="t")
    api.control("timing", sending_after=0, final_after=0)
    yield api
    _wait_until(lambda: receipts._postman._thread is None)


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def test_thread_begins_with_a_receipt_and_ends_when_none_waits(told: Api, receiver: Receiver) -> None:
    assert receipts._postman._thread is None

    told.send()
    _wait_until(lambda: len(receiver.calls) == 1)
    _wait_until(lambda: receipts._postman._thread is None)
    told.send()
    _wait_until(lambda: len(receiver.calls) == 2)

    assert [receipt["attempts"] for receipt in told.asked("receipts")] == [1, 1]
    assert [thread for thread in threading.enumerate() if "receipts" in thread.name and thread.daemon is False] == []


def test_thread_that_lost_its_table_says_so_and_ends(
    told: Api, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    told.control("timing", sending_after=0, final_after=1_000)
    table = Receipt._meta.db_table
    with caplog.at_level(logging.WARNING, logger="django_govuk_notify_outbox"):
        told.send()
        with connection.schema_editor() as editor:
            editor.alter_db_table(Receipt, table, f"{table}_away")
        try:
            _wait_until(lambda: receipts._postman._thread is None)
        finally:
            with connection.schema_editor() as editor:
                editor.alter_db_table(Receipt, f"{table}_away", table)

    messages = [record.getMessage() for record in caplog.records if record.name == receipts.logger.name]
    assert len(messages) == 1
    assert messages[0].startswith("The sandbox stopped posting receipts: ")
    assert receiver.calls == []

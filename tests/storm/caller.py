"""One caller: a process that sends emails as a website would, and writes down what it believes came of it.

    python -m tests.storm.caller --seed 7 --number 0 --share 100 --seconds 60 --started-at 1764072000 --ledger FILE

Killed and started again, it reads its own file and goes on with the next deed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import django
from django.db import Error, connection, transaction

from tests.storm import ledger
from tests.storm.deeds import Deed, Letter, deeds

#: How often a deed that certainly failed is tried again.
TRIES = 200


class TakenBackError(Exception):
    """The caller has thought better of it."""


def main() -> None:
    """Do deeds until this caller's share of emails is committed."""
    options = _options()
    django.setup()
    entries = list(ledger.read(options.ledger))
    done = max((entry.number for entry in entries), default=-1)
    committed = sum(entry.count for entry in entries)
    book = ledger.Ledger(options.ledger)
    for deed in deeds(options.seed, options.number):
        if deed.number <= done:
            continue
        if committed >= options.share:
            break
        _wait_for_turn(options, committed)
        committed += sum(_tried(deed, book))
    book.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Send emails as a website would.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--number", type=int, required=True, help="which of the callers this is")
    parser.add_argument("--share", type=int, required=True, help="emails to commit")
    parser.add_argument("--seconds", type=float, required=True, help="time to spread them over")
    parser.add_argument("--started-at", type=float, required=True, help="when the first caller began")
    parser.add_argument("--ledger", type=Path, required=True)
    return parser.parse_args()


def _wait_for_turn(options: argparse.Namespace, committed: int) -> None:
    turn = options.started_at + options.seconds * committed / options.share
    time.sleep(max(0.0, turn - time.time()))


def _tried(deed: Deed, book: ledger.Ledger) -> Iterator[int]:
    """Try a deed until it is clear that it was done, or not clear whether; yield the emails that are committed."""
    for times in range(TRIES):
        tried = deed.again(times) if times else deed
        book.begin(tried)
        end = _do(tried, book)
        book.end(end)
        if end == ledger.COMMITTED:
            yield sum(letter.kept for letter in tried.letters)
        if end != ledger.ROLLED_BACK or deed.is_rolled_back:
            return
        time.sleep(0.2)


def _do(deed: Deed, book: ledger.Ledger) -> str:
    """One try. Nothing but the database's own errors may come out of it: those would be the library's fault."""
    is_unclear = deed.kind == "autocommit"
    try:
        if deed.kind == "autocommit":
            book.rows(_send(deed.letters))
            return ledger.COMMITTED
        with transaction.atomic():
            pks = _send(deed.letters[:1])
            if not all(letter.kept for letter in deed.letters):
                _send_and_take_back([letter for letter in deed.letters if not letter.kept])
            pks += _send([letter for letter in deed.letters[1:] if letter.kept])
            book.rows(pks)
            if deed.is_rolled_back:
                raise TakenBackError
            is_unclear = True
    except TakenBackError:
        return ledger.ROLLED_BACK
    except Error:
        # As Django does after a request, so that the next one gets a new connection
        connection.close_if_unusable_or_obsolete()
        return ledger.UNKNOWN if is_unclear else ledger.ROLLED_BACK
    return ledger.COMMITTED


def _send_and_take_back(letters: list[Letter]) -> None:
    try:
        with transaction.atomic():
            _send(letters)
            raise TakenBackError
    except TakenBackError:
        pass


def _send(letters: tuple[Letter, ...] | list[Letter]) -> list[int]:
    from django_govuk_notify_outbox.utils import send_email_notification

    return [
        send_email_notification(
            letter.address, letter.template_id, personalisation=letter.personalisation, reference=letter.reference
        ).pk
        for letter in letters
    ]


if __name__ == "__main__":
    main()

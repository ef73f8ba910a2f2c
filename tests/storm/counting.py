"""What the storm did to the emails: what was committed, what Notify has, and the offences between the two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.statuses import FROM_NOTIFY, Status
from tests.storm import ledger
from tests.storm.deeds import Letter
from tests.storm.ledger import Entry

LOST = "lost"
TWICE = "twice"
ROLLED_BACK_BUT_SENT = "rolled_back_but_sent"
WRONG_STATUS = "wrong_status"
OFFENCES = (LOST, TWICE, ROLLED_BACK_BUT_SENT, WRONG_STATUS)

Accepted = dict[str, Any]


@dataclass(frozen=True)
class Offence:
    """One email that did not fare as promised, with the rows that it concerns."""

    kind: str
    token: str
    pks: tuple[int, ...]
    what: str


@dataclass
class Tally:
    """The figures of a storm."""

    committed: int = 0
    rolled_back: int = 0
    #: Transactions of which their caller does not know whether they were committed; the database says.
    unknown: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    offences: list[Offence] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether every email fared as promised."""
        return not self.offences

    def add(self, kind: str, token: str, pks: Iterable[int], what: str, *, number: int = 1) -> None:
        """Note an offence."""
        self.counts[kind] += number
        self.offences.append(Offence(kind, token, tuple(sorted(pks)), what))


@dataclass
class _Case:
    """All that is known of one token: of one email, or of two identical ones."""

    letter: Letter | None = None
    #: The emails that were committed with it, and those that were rolled back.
    committed: int = 0
    rolled_back: int = 0
    pks: set[int] = field(default_factory=set)
    rows: list[EmailMessage] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)


def count(entries: Iterable[Entry], rows: Iterable[EmailMessage], accepted: Iterable[Accepted]) -> Tally:
    """Hold what callers wrote down against the rows, and against what Notify has."""
    tally = Tally()
    cases: defaultdict[str, _Case] = defaultdict(_Case)
    for row in rows:
        cases[token_of(row.personalisation)].rows.append(row)
    for email in accepted:
        cases[token_of(email["personalisation"])].accepted.append(email)
    # Those that are not known last: a row that a twin's certain commit explains proves nothing of theirs
    for entry in sorted(entries, key=lambda entry: entry.end == ledger.UNKNOWN):
        _take_down(entry, cases, tally)
    for token, case in cases.items():
        tally.committed += case.committed
        tally.rolled_back += case.rolled_back
        _judge_sending(token, case, tally)
        _judge_statuses(token, case, tally)
    return tally


def token_of(personalisation: Any) -> str:
    """The token of an email, as it is in a row or at Notify."""
    values = personalisation or {}
    return str(values.get("name") or values.get("wrong"))


def _take_down(entry: Entry, cases: defaultdict[str, _Case], tally: Tally) -> None:
    is_committed = entry.end == ledger.COMMITTED
    if entry.end == ledger.UNKNOWN:
        # All of a transaction or none of it: one row proves that it was committed, and that all the others must be
        tally.unknown += 1
        is_committed = any(len(cases[each.token].rows) > cases[each.token].committed for each in entry.kept)
    for letter in entry.letters:
        case = cases[letter.token]
        case.letter = letter
        if is_committed and letter.kept:
            case.committed += 1
            case.pks |= set(entry.pks)
        else:
            case.rolled_back += 1


def _judge_sending(token: str, case: _Case, tally: Tally) -> None:
    is_refused = case.letter is not None and case.letter.refused
    missing, accepted = case.committed - len(case.rows), len(case.accepted)
    unsent = 0 if is_refused else case.committed - accepted
    pks = {row.pk for row in case.rows} or case.pks
    what = f"{case.committed} committed, {len(case.rows)} rows, {accepted} accepted"
    if missing > 0 or unsent > 0:
        tally.add(LOST, token, pks, what, number=max(missing, unsent))
    if accepted > case.committed:
        kind = TWICE if case.committed else ROLLED_BACK_BUT_SENT
        tally.add(kind, token, pks, what, number=accepted - case.committed)


def _judge_statuses(token: str, case: _Case, tally: Tally) -> None:
    is_refused = case.letter is not None and case.letter.refused
    at_notify = {email["id"]: email for email in case.accepted}
    for row in case.rows:
        problem = _refused_problem(row) if is_refused else _sent_problem(row, at_notify)
        if problem and not (row.notify_id is None and not at_notify and not is_refused):
            # A row without an email at Notify is lost, which is said already
            tally.add(WRONG_STATUS, token, [row.pk], problem)


def _refused_problem(row: EmailMessage) -> str:
    if row.status != Status.FAILED_SEND_TO_NOTIFY or row.notify_id is not None:
        return f"Notify refuses it, and the row says {row.status}"
    last = row.events.last()
    if last is None or last.outcome != EmailMessageEvent.Outcome.REFUSED:
        return "failed, but its last event is not that Notify refused it"
    return ""


def _sent_problem(row: EmailMessage, at_notify: dict[str, Accepted]) -> str:
    email = at_notify.get(str(row.notify_id))
    if row.notify_id is None:
        return f"Notify has it, and the row says {row.status} and has no id"
    if email is None:
        return f"the row has the id of another email, or of none: {row.notify_id}"
    if row.status != FROM_NOTIFY[email["status"]]:
        return f"Notify says {email['status']}, and the row says {row.status}"
    return ""


def describe(offence: Offence, accepted: Sequence[Accepted]) -> Iterator[str]:
    """All that is known of an offence, line by line."""
    yield f"{offence.kind}: {offence.token}: {offence.what}; rows {', '.join(map(str, offence.pks)) or 'unknown'}"
    for email in accepted:
        if token_of(email["personalisation"]) == offence.token:
            yield f"  at Notify: {email['id']} {email['created_at']} {email['status']} {email['reference']}"
    for row in EmailMessage.objects.filter(pk__in=offence.pks):
        yield from describe_row(row)


def describe_row(row: EmailMessage) -> Iterator[str]:
    """A row and its history, line by line."""
    yield (
        f"  row {row.pk}: {row.status}, Notify id {row.notify_id}, attempts {row.attempts}, "
        f"created {row.created_at:%H:%M:%S.%f}, due {row.due_at}, unclear until {row.unclear_until}"
    )
    for event in row.events.all():
        yield (
            f"    {event.created_at:%H:%M:%S.%f} {event.kind} {event.outcome} attempt {event.attempt} "
            f"HTTP {event.http_status} {event.notify_status} {event.message[:100]!r} -> {event.status}"
        )

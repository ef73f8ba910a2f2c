"""The storm's counting finds each kind of offence where there is one, and none where there is none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import transaction
from notifications_python_client import NotificationsAPIClient

from django_govuk_notify_outbox import delivery, tracking
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import Clock
from tests.storm import counting, ledger, storm
from tests.storm.counting import LOST, OFFENCES, ROLLED_BACK_BUT_SENT, TWICE, WRONG_STATUS, Tally
from tests.storm.deeds import Deed, Letter

pytestmark = pytest.mark.django_db(transaction=True)

AMALA = Letter("token-amala", " Amala@Example.com")
BOUNCED = Letter("token-bounced", "perm-fail@simulator.notify")
REFUSED = Letter("token-refused", "refused@example.com", refused=True)
TWIN = Letter("token-twin", "twin@example.com", reference="twins")


class Storm:
    """Callers, a library and a Notify that do as a test says."""

    def __init__(self, folder: Path, sandbox: Sandbox, clock: Clock) -> None:
        self.path = folder / "ledger-0"
        self.book = ledger.Ledger(self.path)
        self.sandbox = sandbox
        self.clock = clock

    def row(self, letter: Letter) -> EmailMessage:
        """A row that nobody has written down."""
        return send_email_notification(
            letter.address, letter.template_id, personalisation=letter.personalisation, reference=letter.reference
        )

    def write(self, *letters: Letter, end: str = ledger.COMMITTED) -> None:
        """A transaction that a caller has written down."""
        self.book.begin(Deed(0, "several", letters))
        if end != ledger.UNKNOWN:
            self.book.end(end)

    def committed(self, *letters: Letter) -> list[EmailMessage]:
        """Rows that a caller committed and that the library has sent and followed to their end."""
        self.write(*letters)
        emails = [self.row(letter) for letter in letters]
        self.send(*emails)
        return emails

    def send(self, *emails: EmailMessage) -> None:
        """What the library does."""
        for email in emails:
            delivery.deliver(email.pk)
        self.clock.move(10)
        for email in emails:
            tracking.look_up(email.pk)
            email.refresh_from_db()

    def post(self, letter: Letter) -> str:
        """What no library may do: post past the rows."""
        client = NotificationsAPIClient(self.sandbox.api_key, base_url=self.sandbox.base_url)
        sent = client.send_email_notification(letter.address, letter.template_id, letter.personalisation)
        return str(sent["id"])

    def count(self) -> Tally:
        """The figures."""
        return counting.count(list(ledger.read(self.path)), EmailMessage.objects.all(), self.sandbox.emails())

    def offences(self) -> dict[str, int]:
        """How many there are of each kind."""
        tally = self.count()
        assert tally.is_clean == (not tally.counts)
        assert {offence.kind for offence in tally.offences} == set(tally.counts) <= set(OFFENCES)
        return dict(tally.counts)


@pytest.fixture
def a_storm(tmp_path: Path, sandbox: Sandbox, clock: Clock) -> Iterator[Storm]:
    """A storm in which all is well so far."""
    storm = Storm(tmp_path, sandbox, clock)
    storm.committed(AMALA, BOUNCED, REFUSED)
    yield storm
    storm.book.close()


def test_emails_that_fared_as_promised_are_no_offence(a_storm: Storm) -> None:
    a_storm.committed(TWIN, TWIN)
    a_storm.write(Letter("token-back", "back@example.com"), end=ledger.ROLLED_BACK)
    tally = a_storm.count()
    assert (tally.committed, tally.rolled_back, tally.offences) == (5, 1, [])
    statuses = EmailMessage.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == [
        "notify-delivered",
        "notify-permanent-failure",
        "failed-send-to-notify",
        "notify-delivered",
        "notify-delivered",
    ]


def test_of_a_commit_that_its_caller_is_not_sure_of_the_row_tells(a_storm: Storm) -> None:
    there, gone = Letter("token-there", "there@example.com"), Letter("token-gone", "gone@example.com")
    a_storm.write(there, end=ledger.UNKNOWN)
    a_storm.write(gone, end=ledger.UNKNOWN)
    a_storm.send(a_storm.row(there))
    tally = a_storm.count()
    assert (tally.committed, tally.rolled_back, tally.unknown, tally.offences) == (4, 1, 2, [])


def test_the_row_of_one_twin_says_nothing_of_the_other(a_storm: Storm) -> None:
    a_storm.write(TWIN, end=ledger.UNKNOWN)
    a_storm.committed(TWIN)
    tally = a_storm.count()
    assert (tally.committed, tally.rolled_back, tally.offences) == (4, 1, [])


def test_a_part_that_was_rolled_back_by_itself_is_not_missed(a_storm: Storm) -> None:
    kept, taken_back = Letter("token-kept", "a@example.com"), Letter("token-back", "b@example.com", kept=False)
    a_storm.write(kept, taken_back)
    a_storm.send(a_storm.row(kept))
    tally = a_storm.count()
    assert (tally.committed, tally.rolled_back, tally.offences) == (4, 1, [])
    a_storm.post(taken_back)
    assert a_storm.offences() == {ROLLED_BACK_BUT_SENT: 1}


def test_an_email_that_notify_has_twice_is_found(a_storm: Storm) -> None:
    a_storm.post(AMALA)
    assert a_storm.offences() == {TWICE: 1}


def test_of_identical_emails_one_too_many_is_found(a_storm: Storm) -> None:
    a_storm.committed(TWIN, TWIN)
    a_storm.post(TWIN)
    assert a_storm.offences() == {TWICE: 1}


def test_of_identical_emails_one_too_few_is_found(a_storm: Storm) -> None:
    a_storm.write(TWIN, TWIN)
    rows = [a_storm.row(TWIN), a_storm.row(TWIN)]
    a_storm.send(rows[0])
    EmailMessage.objects.filter(pk=rows[1].pk).update(status=Status.FAILED_SEND_TO_NOTIFY)
    assert a_storm.offences() == {LOST: 1, WRONG_STATUS: 1}


@pytest.mark.parametrize("status", [Status.FAILED_SEND_TO_NOTIFY, Status.RETRYING_SEND_TO_NOTIFY])
def test_an_email_that_never_reached_notify_is_found(a_storm: Storm, status: Status) -> None:
    lost = Letter("token-lost", "lost@example.com")
    a_storm.write(lost)
    EmailMessage.objects.filter(pk=a_storm.row(lost).pk).update(status=status)
    assert a_storm.offences() == {LOST: 1}


def test_a_committed_row_that_vanished_is_found(a_storm: Storm) -> None:
    vanished, never_sent = Letter("token-1", "a@example.com"), Letter("token-2", "b@example.com", refused=True)
    (row,) = a_storm.committed(vanished)
    row.delete()
    a_storm.write(never_sent)
    assert a_storm.offences() == {LOST: 2}


def test_half_a_transaction_is_found(a_storm: Storm) -> None:
    there, missing = Letter("token-there", "there@example.com"), Letter("token-missing", "missing@example.com")
    a_storm.write(there, missing, end=ledger.UNKNOWN)
    a_storm.send(a_storm.row(there))
    assert a_storm.offences() == {LOST: 1}


@pytest.mark.parametrize("end", [ledger.ROLLED_BACK, ledger.UNKNOWN])
def test_an_email_of_a_transaction_that_rolled_back_is_found(a_storm: Storm, end: str) -> None:
    back = Letter("token-back", "back@example.com")
    a_storm.write(back, end=end)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        a_storm.row(back)
        a_storm.post(back)
        raise ZeroDivisionError
    assert a_storm.offences() == {ROLLED_BACK_BUT_SENT: 1}


def test_an_email_that_nobody_asked_for_is_found(a_storm: Storm) -> None:
    a_storm.post(Letter("token-nobody", "nobody@example.com"))
    assert a_storm.offences() == {ROLLED_BACK_BUT_SENT: 1}


@pytest.mark.parametrize(
    ("letter", "changes"),
    [
        (AMALA, {"status": Status.NOTIFY_SENDING}),
        (AMALA, {"status": Status.NOTIFY_TEMPORARY_FAILURE}),
        (BOUNCED, {"status": Status.NOTIFY_DELIVERED}),
        (AMALA, {"status": Status.FAILED_SEND_TO_NOTIFY, "notify_id": None}),
        (AMALA, {"notify_id": None}),
        (AMALA, {"notify_id": uuid.uuid4()}),
        (REFUSED, {"status": Status.NOTIFY_DELIVERED}),
        (REFUSED, {"status": Status.RETRYING_SEND_TO_NOTIFY}),
        (REFUSED, {"notify_id": uuid.uuid4()}),
    ],
)
def test_a_row_that_says_something_else_than_notify_is_found(
    a_storm: Storm, letter: Letter, changes: dict[str, object]
) -> None:
    rows = EmailMessage.objects.filter(email_address=letter.address)
    assert rows.update(**changes) == 1
    assert a_storm.offences() == {WRONG_STATUS: 1}


def test_a_failure_without_a_refusal_is_found(a_storm: Storm) -> None:
    EmailMessage.objects.get(email_address=REFUSED.address).events.all().delete()
    assert a_storm.offences() == {WRONG_STATUS: 1}


def test_rows_that_hold_each_others_notifications_are_found(a_storm: Storm) -> None:
    amala, bounced = EmailMessage.objects.exclude(notify_id=None).order_by("pk")
    EmailMessage.objects.filter(pk=amala.pk).update(notify_id=None)
    EmailMessage.objects.filter(pk=bounced.pk).update(notify_id=amala.notify_id)
    EmailMessage.objects.filter(pk=amala.pk).update(notify_id=bounced.notify_id)
    assert a_storm.offences() == {WRONG_STATUS: 2}


def test_an_offence_is_told_with_all_that_is_known_of_it(a_storm: Storm) -> None:
    second = a_storm.post(AMALA)
    accepted = a_storm.sandbox.emails()
    (offence,) = a_storm.count().offences
    first_line, *told = counting.describe(offence, accepted)
    row = EmailMessage.objects.get(email_address=AMALA.address)
    assert first_line == f"twice: token-amala: 1 committed, 1 rows, 2 accepted; rows {row.pk}"
    assert [line.split()[2] for line in told[:2]] == [str(row.notify_id), second]
    assert told[2].startswith(f"  row {row.pk}: notify-delivered, Notify id {row.notify_id}, attempts 1")
    assert ["attempt accepted" in line for line in told[3:]] == [True, False]


def test_the_last_line_has_the_figures_and_any_offence_is_a_failure(a_storm: Storm) -> None:
    a_storm.write(Letter("token-back", "back@example.com"), end=ledger.ROLLED_BACK)
    clean = a_storm.count()
    a_storm.post(AMALA)
    a_storm.post(Letter("token-back", "back@example.com"))
    EmailMessage.objects.filter(email_address=BOUNCED.address).update(status=Status.NOTIFY_SENDING)
    a_storm.write(Letter("token-lost", "lost@example.com"))
    offended = a_storm.count()
    assert storm.last_line(7, 3, clean, faults="9: 9 kills; 5 s", is_settled=True) == (
        "storm seed=7 emails=3 committed=3 rolled_back=1 lost=0 twice=0 rolled_back_but_sent=0 wrong_status=0 "
        "(faults: 9: 9 kills; 5 s)"
    )
    assert storm.last_line(7, 3, offended, faults="none", is_settled=False) == (
        "storm seed=7 emails=3 committed=4 rolled_back=1 lost=1 twice=1 rolled_back_but_sent=1 wrong_status=1 "
        "NOT SETTLED (faults: none)"
    )
    assert [storm.exit_code(clean, is_settled=True), storm.exit_code(clean, is_settled=False)] == [0, 1]
    assert storm.exit_code(offended, is_settled=True) == 1

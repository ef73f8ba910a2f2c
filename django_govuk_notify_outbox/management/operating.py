"""What the commands share that do something to emails, which are named by their numbers."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, ClassVar

from django_govuk_notify_outbox import operations, validation
from django_govuk_notify_outbox.management import outbox
from django_govuk_notify_outbox.management.outbox import OutboxCommand, Report
from django_govuk_notify_outbox.models import MAX_ID_LENGTH, email_rows
from django_govuk_notify_outbox.operations import Operation, Result


class OperationCommand(OutboxCommand):
    """A command that does something to emails that are named by their numbers, each if that makes sense."""

    operation: ClassVar[Operation]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the numbers, and who it is that asks."""
        super().add_arguments(parser)
        parser.add_argument("pks", nargs="+", type=_number, metavar="PK", help="number of an email")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
        meaning = "who is named in the emails' histories (default: the name of the operating system's user)"
        parser.add_argument("--by", type=_name, metavar="NAME", help=meaning)

    def report(self, options: dict[str, Any]) -> Report:
        """Do it, or in a dry run say what would be done. It is good if no email was skipped."""
        person = options["by"] or _operating_systems_user()
        if options["dry_run"]:
            results = [_foreseen(self.operation, pk) for pk in dict.fromkeys(options["pks"])]
        else:
            results = operations.perform(self.operation, options["pks"], person=person)
        return Report(
            lines=[
                *(["Dry run: nothing is changed."] if options["dry_run"] else []),
                *(f"Email {each.pk}: {'' if each.is_done else 'skipped. '}{each.text}" for each in results),
            ],
            as_json={
                "operation": self.operation.value,
                "dry_run": options["dry_run"],
                "by": person,
                "emails": [{"pk": each.pk, "skipped": not each.is_done, "text": each.text} for each in results],
            },
            is_good=all(each.is_done for each in results),
        )


def _foreseen(operation: Operation, pk: int) -> Result:
    """What the operation would do to an email just now."""
    email = email_rows().without_contents().filter(pk=pk).first()
    if email is None:
        return Result(pk, is_done=False, text="There is no such email.")
    expected = operations.prospect(operation, email)
    return Result(pk, is_done=expected.will_act, text=expected.text)


def _number(text: str) -> int:
    number = outbox.as_number(text)
    if number is None:
        # Unquoted: people try addresses
        raise ArgumentTypeError("it is not the number of an email. Nothing was done.")
    return number


def _name(text: str) -> str:
    try:
        name = validation.text("it", text.strip(), max_length=MAX_ID_LENGTH)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if not name:
        raise ArgumentTypeError("it must not be blank.")
    return name


def _operating_systems_user() -> str:
    """The name that the operating system knows the person by, or that of the program."""
    try:
        return _name(getpass.getuser())
    # The system has no name for the user's number, or it is none that can be stored
    except (OSError, KeyError, ImportError, ArgumentTypeError):
        return "manage.py"

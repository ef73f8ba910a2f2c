"""What a caller believes about its emails, line by line in a file that survives the caller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.storm.deeds import Deed, Letter

COMMITTED = "committed"
ROLLED_BACK = "rolled back"
#: The commit raised an exception, or the caller died before it wrote down what came of it.
UNKNOWN = "unknown"


@dataclass
class Entry:
    """One try of a deed."""

    number: int
    letters: list[Letter]
    pks: list[int] = field(default_factory=list)
    end: str = UNKNOWN

    @property
    def kept(self) -> list[Letter]:
        """The emails that are there if the transaction was committed."""
        return [letter for letter in self.letters if letter.kept]

    @property
    def count(self) -> int:
        """How many emails are certainly committed."""
        return len(self.kept) if self.end == COMMITTED else 0


class Ledger:
    """The file of one caller. Each line is on its way to the disk before the caller goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        # The caller before us may have been killed in the middle of a line
        self._file.write("\n")

    def begin(self, deed: Deed) -> None:
        """Write down what is about to be tried, before the database hears of it."""
        self._write({"number": deed.number, "letters": [asdict(letter) for letter in deed.letters]})

    def rows(self, pks: list[int]) -> None:
        """Write down the rows, before they are committed."""
        self._write({"pks": pks})

    def end(self, end: str) -> None:
        """Write down what came of it."""
        self._write({"end": end})

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _write(self, values: dict[str, object]) -> None:
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()


def read(path: Path) -> Iterator[Entry]:
    """All tries of a caller, in their order."""
    if not path.exists():
        return
    entry: Entry | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue  # blank, or the caller was killed in the middle of it
        if "number" in values:
            if entry is not None:
                yield entry
            entry = Entry(values["number"], [Letter(**letter) for letter in values["letters"]])
        elif entry is not None:
            entry.pks = values.get("pks", entry.pks)
            entry.end = values.get("end", entry.end)
    if entry is not None:
        yield entry

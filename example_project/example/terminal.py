"""Text for a terminal: colours where they are wanted, and neat columns."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


def wants_colour(stream: TextIO, options: dict[str, Any]) -> bool:
    """Whether to colour what goes to this stream: only for people, and only those who did not decline.

    ``options`` are a management command's, of which --no-color and --force-color have the last word.
    """
    if options.get("no_color"):
        return False
    if options.get("force_color"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Terminal:
    """Writes lines at once, coloured or not."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self.stream = stream
        self.colour = colour
        self.width = max(60, shutil.get_terminal_size((110, 24)).columns)

    def line(self, text: str = "") -> None:
        """Write one line, and send it off."""
        print(text, file=self.stream, flush=True)

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour of ``_CODES``; as it is where colours are not wanted."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self.colour else text

    def wrapped(self, prefix: str, prefix_width: int, text: str) -> None:
        """Write a text after a prefix, its further lines indented to where the text began."""
        room = max(20, self.width - prefix_width - 1)
        first, *rest = textwrap.wrap(text, room) or [""]
        self.line(prefix + first)
        for more in rest:
            self.line(" " * prefix_width + more)

    def table(self, rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), colours: Sequence[str]) -> None:
        """Write rows in columns, the first row as a heading. ``colours``: one for each of the other rows' last cell."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

        def pad(row: Sequence[str]) -> list[str]:
            cells = enumerate(zip(row, widths, strict=True))
            return [cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in cells]

        heading, *body = rows
        self.line(self.paint("  ".join(pad(heading)).rstrip(), "bold"))
        for row, colour in zip(body, colours, strict=True):
            *cells, last = pad(row)
            self.line("  ".join([*cells, self.paint(last.rstrip(), colour)]))

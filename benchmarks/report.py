"""What a benchmark prints, and the goals that it is held to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Goals:
    """What a benchmark was asked to reach, and did not."""

    def __init__(self) -> None:
        self._missed: list[str] = []

    def at_most(self, what: str, value: float, limit: float | None) -> None:
        """Note a value above its limit, if there is one."""
        if limit is not None and not value <= limit:
            self._missed.append(f"{what}: {value:.3f}, and at most {limit:g} was asked for.")

    def at_least(self, what: str, value: float, limit: float | None) -> None:
        """Note a value below its limit, if there is one."""
        if limit is not None and not value >= limit:
            self._missed.append(f"{what}: {value:.3f}, and at least {limit:g} was asked for.")

    def hold(self, what: str) -> None:
        """Note something that must never be, whatever was asked for."""
        self._missed.append(what)

    def settle(self) -> None:
        """End the process with everything that was noted, if anything was."""
        if self._missed:
            raise SystemExit("\n".join(self._missed))


def say(line: str = "") -> None:
    """Print a line at once: a benchmark takes minutes."""
    print(line, flush=True)


def say_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: a name at the left of each row, and figures."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    say()
    for line in lines:
        first, *others = (cell.ljust(width) if not column else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(line, widths, strict=True)))  # fmt: skip
        say("  ".join([first, *others]).rstrip())

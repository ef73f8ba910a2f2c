"""What the callers do: a sequence of transactions with emails in them, which follows from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from django_govuk_notify_outbox.sandbox import defaults

BOUNCING = ("perm-fail@simulator.notify", "temp-fail@simulator.notify", "technical-fail@simulator.notify")

#: Kinds of deeds, and how many of a hundred are of that kind.
KINDS = {
    "single": 33,
    "autocommit": 10,
    "several": 20,
    "batch": 12,
    "twins": 5,
    "twins apart": 5,
    "rolled back": 9,
    "partly rolled back": 6,
}


@dataclass(frozen=True)
class Letter:
    """One email to be asked for."""

    #: Unique, so that the email can be counted at the sandbox; two identical emails share one.
    token: str
    address: str
    reference: str | None = None
    #: Notify refuses it: what its template asks for is missing.
    refused: bool = False
    #: In a part of the transaction that is not rolled back by itself.
    kept: bool = True

    @property
    def personalisation(self) -> dict[str, str]:
        """What goes into the template, or what doesn't fit it."""
        return {"wrong" if self.refused else "name": self.token}

    @property
    def template_id(self) -> str:
        """The template, which needs a name."""
        return defaults.TEMPLATE_ID


@dataclass(frozen=True)
class Deed:
    """One transaction of a caller's."""

    number: int
    kind: str
    letters: tuple[Letter, ...]

    @property
    def is_rolled_back(self) -> bool:
        """Whether the caller raises an exception at its end."""
        return self.kind == "rolled back"

    def again(self, times: int) -> Deed:
        """The same once more, after it failed, with emails that can be told from those of before."""
        return replace(self, letters=tuple(replace(each, token=f"{each.token}.{times}") for each in self.letters))


def deeds(seed: int, caller: int) -> Iterator[Deed]:
    """All that this caller does, one after the other, without an end."""
    rng = random.Random(f"{seed} caller {caller}")
    number = count()
    while True:
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        prefix = f"token-{seed}-{caller}-"
        for letters in _letters(rng, kind, prefix):
            yield Deed(next(number), kind, letters)


def _letters(rng: random.Random, kind: str, prefix: str) -> Iterator[tuple[Letter, ...]]:
    if kind in ("single", "autocommit"):
        yield (_letter(rng, prefix),)
    elif kind == "several":
        yield tuple(_letter(rng, prefix) for _ in range(rng.randint(2, 5)))
    elif kind == "rolled back":
        yield tuple(_letter(rng, prefix) for _ in range(rng.randint(1, 3)))
    elif kind == "partly rolled back":
        taken_back = tuple(replace(_letter(rng, prefix), kept=False) for _ in range(rng.randint(1, 2)))
        yield (_letter(rng, prefix), *taken_back, _letter(rng, prefix))
    elif kind == "batch":
        yield tuple(_batch(rng, prefix))
    else:
        reference = rng.choice([None, f"twins-{rng.getrandbits(64):016x}"])
        twin = replace(_letter(rng, prefix), reference=reference)
        if kind == "twins":
            yield (twin, twin)
        else:
            yield (twin,)
            yield (twin,)


def _batch(rng: random.Random, prefix: str) -> Iterator[Letter]:
    """Emails with one reference of the caller's: some to the same address, some of those identical."""
    reference = f"batch-{rng.getrandbits(64):016x}"
    letters = [replace(_letter(rng, prefix), reference=reference) for _ in range(rng.randint(3, 6))]
    yield from letters
    yield replace(_letter(rng, prefix), address=letters[0].address.swapcase(), reference=reference)
    yield letters[1]


def _letter(rng: random.Random, prefix: str) -> Letter:
    token = f"{prefix}{rng.getrandbits(64):016x}"
    fate = rng.random()
    if fate < 0.04:
        return Letter(token, "refused@example.com", refused=True)
    if fate < 0.10:
        return Letter(token, rng.choice(BOUNCING))
    name, domain = f"Amala.{token[-6:]}", rng.choice(["example.com", "Example.ORG", "post.example.net"])
    if fate < 0.25:
        return Letter(token, f"{rng.choice(['', ' ', '  '])}{name.upper()}@{domain}{rng.choice([' ', chr(0x200B)])}")
    return Letter(token, f"{name}@{domain}")

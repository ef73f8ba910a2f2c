"""The words in which pages tell of statuses, values and sizes."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A status in a word or two, and which of the pages' colours it has."""

    text: str
    colour: str
    meaning: str = ""


_TAGS = {
    "created": Tag(text="Created", colour="grey", meaning="Notify has it in its queue."),
    "sending": Tag(text="Sending", colour="blue", meaning="Notify has handed it to its email provider."),
    "delivered": Tag(text="Delivered", colour="green", meaning="The recipient’s mail server took it."),
    "temporary-failure": Tag(
        text="Temporary failure", colour="orange", meaning="The recipient’s mail server could not take it."
    ),
    "permanent-failure": Tag(
        text="Permanent failure", colour="red", meaning="It bounced: the address probably does not exist."
    ),
    "technical-failure": Tag(
        text="Technical failure",
        colour="red",
        meaning="Something went wrong between Notify and its email provider.",
    ),
}

# What the page's buttons do, by the status that they give.
DECISIONS = {
    "delivered": "Deliver now",
    "permanent-failure": "Bounce (permanent failure)",
    "temporary-failure": "Fail for now (temporary failure)",
    "technical-failure": "Fail at Notify (technical failure)",
}


def tag_for(status: str) -> Tag:
    """Return how a status is shown, also one that only a test has made up."""
    return _TAGS.get(status) or Tag(text=status, colour="grey")


def told_of(value: Any) -> str:
    """Return a value of a personalisation as text; of a file only that it's one."""
    if isinstance(value, dict) and "file" in value:
        return "a file"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def size_of(length: int) -> str:
    """Return a number of bytes in words."""
    return f"{length} bytes" if length < 1024 else f"{length / 1024:.0f} kB"

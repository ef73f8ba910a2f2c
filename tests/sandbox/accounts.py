"""Which of the recorded rows were replayed, which are shown by a test of their own, and which are left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

#: Rows that are told and not replayed: measured facts, and the test that shows each of the sandbox.
FACTS = {
    "rate.recovery": "test_recorded_limits.py",
    "rate.recovery.silent-wait": "test_recorded_limits.py",
    "rate.starvation": "test_recorded_limits.py",
    "timing.visible-after-201": "test_client.py",
    "timing.client-timeout": "test_client.py",
    "outage.timeout.client-gave-up": "test_client.py",
    "client.connection-refused": "test_client.py",
    "client.api-key.empty": "test_client_mistakes.py",
    "client.api-key.short": "test_client_mistakes.py",
    "client.api-key.only-secret": "test_client_mistakes.py",
    "client.api-key.trailing-newline": "test_client_mistakes.py",
    "client.api-key.trailing-space": "test_client_mistakes.py",
    "client.api-key.uppercase-secret": "test_client_mistakes.py",
    "client.api-key.no-name": "test_client_mistakes.py",
    "client.prepare_upload-too-big": "test_client.py",
    "client.prepare_upload-shape": "test_client.py",
    "client.personalisation-Decimal": "test_client_mistakes.py",
    "client.personalisation-date": "test_client_mistakes.py",
    "client.personalisation-UUID": "test_client_mistakes.py",
    "client.personalisation-object": "test_client_mistakes.py",
    "client.personalisation-set": "test_client_mistakes.py",
    "get.list.paging.summary": "test_client.py",
    "get.list.ties": "test_looking_up.py",
    "callback.not-sent": "test_receipts.py",
    "callback.timing": "test_receipts.py",
}

_FILES_STUB = "Notify's service for files was a stub that answered by the file's name"
_ADMIN = "how a receiver is registered in Notify's admin; the sandbox is told by settings or by remote control"
#: Rows that the sandbox is not meant to follow, and why.
EXCLUDED = {
    "callback.register.http": _ADMIN,
    "callback.register.https": _ADMIN,
    "client.get_all_template_versions": "an address of Notify's admin, which its API refuses to every service",
    "outage.database.status": "a broken status line from an address outside the API",
    "post.file.document-download-answers-400": _FILES_STUB,
    "post.file.document-download-answers-403": _FILES_STUB,
    "post.file.document-download-answers-500": _FILES_STUB,
}

#: The names of the rows that were replayed, and came out the same, in this process.
replayed: set[str] = set()


def table(names: Iterable[str], replayed: set[str]) -> Iterator[str]:
    """Return the lines of the table of groups, and what was left out."""
    given, done, told, out = (
        Counter(name.split(".")[0] for name in some) for some in (names, replayed, FACTS, EXCLUDED)
    )
    form = "{:<16}{:>7}{:>10}{:>8}{:>10}"
    yield form.format("group", "given", "replayed", "told", "left out")
    for group in given:
        yield form.format(group, given[group], done[group], told[group], out[group])
    yield form.format("all", given.total(), done.total(), told.total(), out.total())
    yield "told: measured facts without a request, each shown by a test of its own"
    for name, reason in EXCLUDED.items():
        yield f"left out: {name}: {reason}"

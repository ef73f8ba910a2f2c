"""Which arguments are accepted, and that what is accepted arrives as the client alone would have sent it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import io
import json
import types
import uuid
from typing import Any

import pytest
from django.core import serializers
from django.db import transaction
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, override
from notifications_python_client import NotificationsAPIClient, prepare_upload
from notifications_python_client.errors import HTTPError
from pytest_django import Settings

from django_govuk_notify_outbox import delivery
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from django_govuk_notify_outbox.utils import send_email_notification
from tests.conftest import ADDRESS
from tests.recorder import running_recorder

pytestmark = pytest.mark.django_db


class Colour(enum.StrEnum):
    RED = "red"


#: Keyword arguments that the client takes.
AS_THE_CLIENT: dict[str, dict[str, Any]] = {
    "nothing but what is needed": {"template_id": defaults.PLAIN_TEMPLATE_ID},
    "empty values": {
        "template_id": defaults.PLAIN_TEMPLATE_ID,
        "personalisation": {},
        "email_reply_to_id": "",
        "one_click_unsubscribe_url": "",
        "sanitise_content_for": [],
    },
    "every value": {
        "personalisation": {"name": "Amala"},
        "email_reply_to_id": str(uuid.uuid4()),
        "one_click_unsubscribe_url": "https://example.gov.uk/unsubscribe?id=1&x=é",
        "sanitise_content_for": ["name"],
    },
    "order of keys": {"personalisation": {"zz": 1, "name": "b", "a": 2, "aa": 3}},
    "keys that name one placeholder": {"personalisation": {"name": "first", "Name": "second"}},
    "numbers": {"personalisation": {"name": 1.50, "a": 10**30, "b": -0.0, "c": 1e100, "d": True, "e": None}},
    "not a number": {"personalisation": {"name": float("nan"), "a": float("inf")}},
    "keys that are no strings": {"personalisation": {1: "a", None: "b", False: "c", "name": "d"}},
    "lists and tuples": {"personalisation": {"name": ["a", ("b", "c"), []]}},
    "a set": {"personalisation": {"name": {"only"}}},
    "text of all kinds": {"personalisation": {"name": 'Siân 🙂 名前 "\\ \n\r\t </script> {{ x }} ((y))'}},
    "strings that are more": {"personalisation": {"name": mark_safe("<b>"), "colour": Colour.RED}},
    "a file": {
        "personalisation": {
            "name": "x",
            "link": prepare_upload(io.BytesIO(b"\0\1\2"), filename="a.csv", retention_period="4 weeks"),
        }
    },
    "personalisation that is no object": {"personalisation": ["name"]},
    "an address that is none": {"email_address": "not an address"},
    "an address with space around it": {"email_address": " amala@example.com\n"},
    "a template that is none": {"template_id": "not-a-template"},
}


@pytest.mark.parametrize("arguments", AS_THE_CLIENT.values(), ids=AS_THE_CLIENT)
def test_what_the_client_accepts_arrives_byte_for_byte_as_the_client_sends_it(
    settings: Settings, arguments: dict[str, Any]
) -> None:
    arguments = {"email_address": ADDRESS, "template_id": defaults.TEMPLATE_ID, "reference": "ours"} | arguments
    if "sanitise_content_for" not in inspect.signature(NotificationsAPIClient.send_email_notification).parameters:
        # The client's versions before 12.2
        arguments.pop("sanitise_content_for", None)
    with running_recorder() as recorder:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = recorder.url
        client = NotificationsAPIClient(defaults.API_KEY, base_url=recorder.url)
        with pytest.raises(HTTPError):
            client.send_email_notification(**arguments)
        client.request_session.close()
        email = send_email_notification(**arguments)
        delivery.deliver(email.pk)
    theirs, ours = recorder.bodies
    assert ours == theirs


def test_without_a_reference_the_rows_own_is_all_that_is_added(sandbox: Sandbox) -> None:
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID, {"name": "Amala"})
    delivery.deliver(email.pk)
    assert json.loads(sandbox.emails()[0]["request_body"]) == {
        "email_address": ADDRESS,
        "template_id": defaults.TEMPLATE_ID,
        "personalisation": {"name": "Amala"},
        "reference": email.reference,
    }


def test_ids_may_be_uuids_and_texts_lazy(sandbox: Sandbox) -> None:
    reply_to = uuid.uuid4()
    with override("cy"):
        email = send_email_notification(
            lazystr(ADDRESS),  # type: ignore[arg-type]  # text all the same
            uuid.UUID(defaults.TEMPLATE_ID),
            {"name": gettext_lazy("Yes"), "list": [lazystr("a")]},
            email_reply_to_id=reply_to,
        )
    email.refresh_from_db()
    assert (email.email_address, email.template_id, email.email_reply_to_id) == (
        ADDRESS,
        defaults.TEMPLATE_ID,
        str(reply_to),
    )
    # Translated when the call was made, in the language of that moment
    assert email.personalisation == {"name": "Ie", "list": ["a"]}


def test_a_mapping_that_is_no_dictionary_is_accepted() -> None:
    personalisation = types.MappingProxyType({"name": types.MappingProxyType({"a": 1})})
    assert send_email_notification(ADDRESS, "t", personalisation).personalisation == {"name": {"a": 1}}


def test_two_files_of_the_greatest_size_are_accepted() -> None:
    file = io.BytesIO(b"x" * 2 * 1024 * 1024)
    upload = prepare_upload(file)
    email = send_email_notification(ADDRESS, "t", {"one": upload, "two": upload})
    email.refresh_from_db()
    assert email.personalisation == {"one": upload, "two": upload}


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)
DEEP: Any = "x"
for _ in range(100_000):
    DEEP = [DEEP]
SECRET = "secret-4711"
NESTED: Any = SECRET
for _ in range(60):
    NESTED = [NESTED]

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no address": ({"email_address": None}, TypeError, "email_address must be a string, not None."),
    "an address that is no text": ({"email_address": 5}, TypeError, "email_address must be a string, not int."),
    "no template": ({"template_id": None}, TypeError, "template_id must be a string, not None."),
    "a reference that is no text": ({"reference": 17}, TypeError, "reference must be a string, not int."),
    "a URL that is no text": (
        {"one_click_unsubscribe_url": b"x"},
        TypeError,
        "one_click_unsubscribe_url must be a string, not bytes.",
    ),
    "an address that is too long": (
        {"email_address": SECRET + "x" * 400},
        ValueError,
        "email_address must be at most 400 characters long; it has 411.",
    ),
    "a reference that is too long": (
        {"reference": "x" * 1001},
        ValueError,
        "reference must be at most 1000 characters long; it has 1001.",
    ),
    "a template id that is too long": (
        {"template_id": "x" * 256},
        ValueError,
        "template_id must be at most 255 characters long; it has 256.",
    ),
    "a URL that is too long": (
        {"one_click_unsubscribe_url": "https://example.gov.uk/" + "x" * 100_000},
        ValueError,
        "one_click_unsubscribe_url must be at most 100000 characters long; it has 100023.",
    ),
    "NUL in the address": (
        {"email_address": SECRET + "\0"},
        ValueError,
        "email_address contains a NUL character, which cannot be stored.",
    ),
    "NUL in the reference": (
        {"reference": "\0"},
        ValueError,
        "reference contains a NUL character, which cannot be stored.",
    ),
    "NUL in personalisation": (
        {"personalisation": {"a": [{"b": SECRET + "\0"}]}},
        ValueError,
        "personalisation contains a NUL character, which cannot be stored.",
    ),
    "NUL in a key": (
        {"personalisation": {SECRET + "\0": 1}},
        ValueError,
        "personalisation contains a NUL character, which cannot be stored.",
    ),
    "half a surrogate pair": (
        {"personalisation": {"a": SECRET + "\ud800"}},
        ValueError,
        "personalisation contains half of a surrogate pair, which cannot be stored.",
    ),
    "half a surrogate pair in the URL": (
        {"one_click_unsubscribe_url": "\ud800"},
        ValueError,
        "one_click_unsubscribe_url contains half of a surrogate pair, which cannot be stored.",
    ),
    "a decimal": (
        {"personalisation": {"a": decimal.Decimal("47.11")}},
        TypeError,
        "personalisation holds something that cannot be sent as JSON: a Decimal.",
    ),
    "a date": (
        {"personalisation": {"a": dt.date(2026, 1, 1)}},
        TypeError,
        "personalisation holds something that cannot be sent as JSON: a date.",
    ),
    "a key that JSON has no form for": (
        {"personalisation": {("a",): 1}},
        TypeError,
        (
            "personalisation holds something that cannot be sent as JSON: "
            "keys must be str, int, float, bool or None, not tuple."
        ),
    ),
    "something that contains itself": (
        {"personalisation": {"a": CIRCULAR}},
        ValueError,
        "personalisation cannot be sent as JSON: it contains itself, or too much of something.",
    ),
    "something nested more deeply than a person would": (
        {"personalisation": {"a": NESTED}},
        ValueError,
        "personalisation is nested more than 50 levels deep.",
    ),
    "a number of too many digits": (
        {"personalisation": {"a": 10**5000}},
        ValueError,
        "personalisation cannot be sent as JSON: it contains itself, or too much of something.",
    ),
    "more than a statement may hold": (
        {"personalisation": {"a": "x" * 6_000_000}},
        ValueError,
        "personalisation must be at most 6000000 characters of JSON; it is 6000009.",
    ),
    "something nested too deeply": (
        {"sanitise_content_for": DEEP},
        ValueError,
        "sanitise_content_for cannot be sent as JSON: it contains itself, or too much of something.",
    ),
}


@pytest.mark.parametrize(("arguments", "exception", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stored_or_sent_is_an_error_that_names_the_argument_and_spares_the_transaction(
    arguments: dict[str, Any], exception: type[Exception], message: str
) -> None:
    with transaction.atomic():
        with pytest.raises(exception) as raised:
            send_email_notification(**{"email_address": ADDRESS, "template_id": "t"} | arguments)
        # The transaction still works, which it would not after a database error
        assert EmailMessage.objects.count() == 0
        kept = send_email_notification(ADDRESS, "t")
    assert type(raised.value) is exception
    assert str(raised.value) == message
    assert SECRET not in str(raised.value)
    assert EmailMessage.objects.get() == kept


def test_what_notify_refuses_is_a_failed_row_with_notifys_words(sandbox: Sandbox) -> None:
    email = send_email_notification(ADDRESS, defaults.TEMPLATE_ID)
    delivery.deliver(email.pk)
    email.refresh_from_db()
    assert (email.status, email.due_at) == (Status.FAILED_SEND_TO_NOTIFY, None)
    event = email.events.get()
    assert (event.outcome, event.http_status, event.error_type, event.message) == (
        "refused",
        400,
        "BadRequestError",
        "Missing personalisation: name",
    )
    assert sandbox.emails() == []


def test_several_errors_of_notify_are_all_kept(sandbox: Sandbox) -> None:
    email = send_email_notification("not an address", "not-a-template")
    delivery.deliver(email.pk)
    event = email.events.get()
    assert event.error_type == "ValidationError"
    assert sorted(event.message.split("; ")) == [
        "email_address Not a valid email address",
        "template_id is not a valid UUID",
    ]


def test_json_values_survive_dumpdata_and_loaddata() -> None:
    email = send_email_notification(ADDRESS, "t", {"z": [1, "é"], "a": None})
    empty = send_email_notification(ADDRESS, "t")
    dumped = serializers.serialize("json", EmailMessage.objects.order_by("pk"))
    EmailMessage.objects.all().delete()
    for loaded in serializers.deserialize("json", dumped):
        loaded.save()
    values = dict(EmailMessage.objects.values_list("pk", "personalisation"))
    assert values == {email.pk: {"z": [1, "é"], "a": None}, empty.pk: None}
    assert list(values[email.pk]) == ["z", "a"]

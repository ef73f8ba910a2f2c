"""Looking up answers as Notify did: what was recorded is sent anew, given the recorded ids and times, and asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import pytest
from django.test import Client

from django_govuk_notify_outbox.sandbox import clock
from django_govuk_notify_outbox.sandbox.models import Notification, SandboxState, digest_of
from django_govuk_notify_outbox.sandbox.services import Service

from . import accounts, recorded
from .recorded import Row

_ROWS = recorded.rows("get.")
#: When everything had been recorded.
_AFTERWARDS = clock.from_datetime(datetime(2026, 11, 22, 0, 30, tzinfo=UTC))
_SECOND = clock.SECOND

#: How they were sent, where the answer doesn't tell.
_SENT: dict[str, dict[str, Any]] = {
    "get.by-id.list-personalisation": {"personalisation": {"name": ["a", "b"], "reference": 5}},
    "get.by-id.sanitised": {"personalisation": {"name": "*x*", "reference": "R"}, "sanitise_content_for": ["name"]},
    "get.by-id.address-normalised": {"email_address": "  Amala.X@Example.COM\u200b "},
    "get.by-id.test-key.perm-fail-simulator-spaces": {"email_address": " perm-fail@simulator.notify "},
}
#: An id is looked up whatever kind of key it was sent with.
_KINDS = {
    "get.by-id.normal-key-reads-test": "test",
    "get.by-id.test-key-reads-normal": "normal",
    "get.by-id.team-key-reads-normal": "normal",
}
#: Asked for with the key of one service, and sent by another.
_OWNERS = {"get.by-id.of-another-service": "live"}


class Sender:
    """Sends emails that turn out as recorded."""

    def __init__(self, client: Client, world: dict[str, Service]) -> None:
        self.client = client
        self.world = world

    def send(self, label: str, kind: str, expected: dict[str, Any], **values: Any) -> Notification:
        """Send an email by which the expected notification comes about, and give it its id and times."""
        service = self.world[label]
        template = service.templates[UUID(expected["template"]["id"])]
        body = {
            "template_id": str(template.id),
            "email_address": expected["email_address"],
            "personalisation": _values_in(expected["body"], template.body),
        }
        for name in ("reference", "one_click_unsubscribe_url"):
            if expected[name] is not None and "/unsubscribe/" not in expected[name]:
                body[name] = expected[name]
        response = self.client.post(
            "/v2/notifications/email",
            json.dumps({**body, **values}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {recorded.signed(label, kind)}"},
        )
        assert response.status_code == 201, response.content
        row = Notification.objects.get(notification_id=response.json()["id"])
        row.notification_id = UUID(expected["id"])
        row.created_at = _moment(expected["created_at"]) or 0
        row.sending_at, row.final_at = _moment(expected["sent_at"]), _moment(expected["completed_at"])
        row.final_status = expected["status"]
        row.save()
        return row

    def more_like(self, row: Notification, **values: Any) -> Notification:
        """Store another one that is the same but for its id, and what is given."""
        fields = {field.name: getattr(row, field.name) for field in Notification._meta.fields if field.name != "id"}
        return Notification.objects.create(**{**fields, "notification_id": uuid4(), **values})


def _values_in(filled: str, template: str) -> dict[str, str]:
    """Return what was filled into the template."""
    names = re.findall(r"\(\((.+?)\)\)", template)
    pattern = re.sub(r"\\\(\\\(.+?\\\)\\\)", "(.*?)", re.escape(template))
    match = re.fullmatch(pattern, filled, re.DOTALL)
    assert match is not None, (filled, template)
    return dict(zip(names, match.groups(), strict=True))


def _moment(text: str | None) -> int | None:
    return None if text is None else clock.from_datetime(datetime.fromisoformat(text))


@pytest.fixture
def sender(client: Client, recorded_world: dict[str, Service]) -> Sender:
    """A sender for the recorded services, without limits and when everything had been recorded."""
    SandboxState.change(frozen_at=_AFTERWARDS, rate_limit=0, daily_limit=0)
    return Sender(client, recorded_world)


def _single(prefixes: Iterable[str]) -> list[Row]:
    return [row for row in _ROWS if row["name"].startswith(tuple(prefixes))]


_BY_ID = _single(["get.by-id.", "get.pdf"])


@pytest.mark.parametrize("row", _BY_ID, ids=[row["name"] for row in _BY_ID])
def test_id_is_looked_up_as_by_notify(client: Client, sender: Sender, row: Row) -> None:
    name, expected = row["name"], row["response"]["json"]
    label, kind = recorded.signer(row["request"]["headers"]["Authorization"])
    if row["response"]["status"] == 200:
        sender.send(label, _KINDS.get(name, kind), expected, **_SENT.get(name, {}))
    elif match := re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", row["request"]["path"]):
        stored = _arranged_for_refusal(sender, name, UUID(match[0]), label, kind)
        assert Notification.objects.count() == stored

    response = recorded.send(client, row)

    if name == "get.by-id.template-unsubscribe-link":
        # The token at the end is of each Notify's own making
        response = _with_recorded_token(response, expected["one_click_unsubscribe_url"])
    recorded.check(response, row)
    if row["response"]["status"] == 200:
        # Not only the same words in the place of times: the same times
        assert {key: response.json()[key] for key in ("created_at", "sent_at", "completed_at")} == {
            key: expected[key] for key in ("created_at", "sent_at", "completed_at")
        }


def _arranged_for_refusal(sender: Sender, name: str, notification_id: UUID, label: str, kind: str) -> int:
    """Send what there was, for a look-up that is refused. Return how many emails are stored."""
    if name in ("get.by-id.simulated", "get.by-id.unknown"):
        return 0
    plain = _plain(sender, _OWNERS.get(name, label))
    plain["id"] = str(notification_id)
    row = sender.send(_OWNERS.get(name, label), kind, plain)
    if name == "get.by-id.after-retention":
        Notification.objects.filter(pk=row.pk).update(created_at=_AFTERWARDS - 9 * 24 * 3600 * _SECOND)
    return 1


def _plain(sender: Sender, label: str, **values: Any) -> dict[str, Any]:
    """Return what is seen of a plain email of the service."""
    template = next(one for one in sender.world[label].templates.values() if one.name == "Plain email")
    return {
        "id": str(uuid4()),
        "email_address": "ok@example.com",
        "reference": None,
        "one_click_unsubscribe_url": None,
        "template": {"id": str(template.id)},
        "body": template.body,
        "status": "delivered",
        "created_at": "2026-11-21T23:30:00.000000Z",
        "sent_at": "2026-11-21T23:30:01.000000Z",
        "completed_at": "2026-11-21T23:30:02.000000Z",
        **values,
    }


def _with_recorded_token(response: Any, url: str) -> Any:
    answer = response.json()
    assert answer["one_click_unsubscribe_url"].rpartition("/")[0] == url.rpartition("/")[0]
    response.content = json.dumps({**answer, "one_click_unsubscribe_url": url})
    response.headers["Content-Length"] = str(len(response.content))
    return response


_LISTS = _single(["get.list."])


@pytest.mark.parametrize("row", _LISTS, ids=[row["name"] for row in _LISTS])
def test_list_is_the_page_that_notify_gave(client: Client, sender: Sender, row: Row) -> None:
    expected = row["response"]["json"]
    label, kind = recorded.signer(row["request"]["headers"]["Authorization"])
    if row["response"]["status"] == 200:
        page = _Page(row)
        page.arrange(sender, label, kind)

    response = recorded.send(client, row)

    if row["response"]["status"] != 200:
        recorded.check(response, row)
        return
    assert response.status_code == 200
    answer = response.json()
    assert answer["links"] == expected["links"]
    assert [item["id"] for item in answer["notifications"]] == [str(one) for one in page.ids]
    for seen, wanted in zip(answer["notifications"], page.items, strict=True):
        assert wanted is None or seen == wanted
    accounts.replayed.add(row["name"])


class _Page:
    """What is to be on a page. Some of it is spelt out; the rest was left out of the recording, but for its number."""

    def __init__(self, row: Row) -> None:
        self.asked = parse_qs(row["request"].get("query") or "")
        self.following = parse_qs(row["response"]["json"]["links"].get("next", "").partition("?")[2]).get("older_than")
        self.items: list[dict[str, Any] | None] = []
        told = row["response"]["json"]["notifications"]
        for one in [told] if isinstance(told, str) else told:
            if isinstance(one, str):
                count = re.search(r"\d+", one)
                self.items += [None] * (int(count[0]) if count else 250)
            else:
                self.items.append(one)
        self.ids: list[UUID] = []

    def arrange(self, sender: Sender, label: str, kind: str) -> None:
        """Send what is on the page, and what must not be."""
        status = {"accepted": "sending", "received": "delivered"}
        asked_status = self.asked.get("status", ["delivered"])[0]
        # A longer one can be asked for than can be given
        reference = self.asked["reference"][0][:1000] if "reference" in self.asked else None
        plain = _plain(
            sender,
            label,
            email_address="guest@example.com",
            status=status.get(asked_status, asked_status),
            reference=reference,
        )
        model = sender.send(label, kind, plain)
        self._add_cursor(sender, model)
        latest = model
        for index, item in enumerate(self.items):
            if item is not None:
                latest = sender.send(label, kind, item, **_values_for(item))
            else:
                latest = sender.more_like(latest, created_at=latest.created_at - 1)
                if index == len(self.items) - 1 and self.following:
                    latest.notification_id = UUID(self.following[0])
                    latest.save()
            self.ids.append(latest.notification_id)
        if len(self.items) == 250:
            sender.more_like(latest, created_at=latest.created_at - 1)
        self._add_others(sender, model, kind)
        model.delete()

    def _add_cursor(self, sender: Sender, model: Notification) -> None:
        """Store the one that the page begins after, and a newer one. Nobody knows the cursor of one row."""
        if "older_than" in self.asked:
            first = next((_moment(item["created_at"]) for item in self.items if item), model.created_at) or 0
            sender.more_like(model, created_at=first + 2)
            if self.items or self.asked["older_than"][0] == _LAST_OF_ALL:
                sender.more_like(model, created_at=first + 1, notification_id=UUID(self.asked["older_than"][0]))

    def _add_others(self, sender: Sender, model: Notification, kind: str) -> None:
        """Store what differs from what is asked for in one thing each."""
        other_kind = "team" if kind == "test" else "test"
        sender.more_like(model, key_kind=other_kind)
        sender.more_like(model, service_id=uuid4())
        if "reference" in self.asked:
            other = self.asked["reference"][0][:1000].swapcase()
            sender.more_like(model, reference=other, reference_digest=digest_of(other))
        if "status" in self.asked:
            meant = {
                "accepted": ["created", "sending"],
                "received": ["delivered"],
            }.get(self.asked["status"][0], self.asked["status"])
            for status in {"created", "sending", "delivered", "temporary-failure", "permanent-failure"} - set(meant):
                sender.more_like(model).force_status(status, _AFTERWARDS)


#: The last id of the recorded pages: after it there is an empty one.
_LAST_OF_ALL = "489ab17a-4723-478c-bdd4-c9c207b2fc40"


def _values_for(item: dict[str, Any]) -> dict[str, Any]:
    """Return how an email was sent whose values can't be read off its body."""
    if item["subject"].endswith(" and b"):
        return _SENT["get.by-id.list-personalisation"]
    return _SENT["get.by-id.sanitised"] if "\\*" in item["body"] else {}

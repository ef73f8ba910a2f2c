"""Looking notifications up, by id and in pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from django_govuk_notify_outbox.sandbox import clock, defaults
from django_govuk_notify_outbox.sandbox.clock import SECOND
from django_govuk_notify_outbox.sandbox.models import Notification

from .conftest import ADDRESS, Api, messages_of


def test_notification_has_every_key_that_notify_gives(api: Api) -> None:
    notification_id = api.send(
        template_id=defaults.TEMPLATE_ID,
        personalisation={"name": "Amala"},
        reference="r-1",
        one_click_unsubscribe_url="https://example.gov.uk/u",
        email_address=" Amala.X@Example.COM\u200b ",
    )

    row = Notification.objects.get()
    assert api.look_up(notification_id) == {
        "body": "Hello Amala,\n\nThis email comes from the sandbox.",
        "completed_at": None,
        "cost_details": {},
        "cost_in_pounds": 0.0,
        "created_at": api.asked("emails")[0]["created_at"],
        "created_by_name": None,
        "email_address": "Amala.X@Example.COM",
        "id": str(row.notification_id),
        "is_cost_data_ready": True,
        "line_1": None,
        "line_2": None,
        "line_3": None,
        "line_4": None,
        "line_5": None,
        "line_6": None,
        "one_click_unsubscribe_url": "https://example.gov.uk/u",
        "phone_number": None,
        "postage": None,
        "postcode": None,
        "reference": "r-1",
        "scheduled_for": None,
        "sent_at": None,
        "status": "created",
        "subject": "Hello Amala",
        "template": {
            "id": defaults.TEMPLATE_ID,
            "uri": f"http://testserver/v2/template/{defaults.TEMPLATE_ID}/version/1",
            "version": 1,
        },
        "type": "email",
    }


def test_id_is_understood_in_any_spelling(api: Api) -> None:
    notification_id = api.send()

    assert api.look_up(notification_id.upper())["id"] == notification_id
    assert api.look_up(UUID(notification_id).hex)["id"] == notification_id


def test_notification_made_with_another_kind_of_key_is_found_by_id_and_not_listed(api: Api) -> None:
    notification_id = api.send(reference="r")

    api.api_key = defaults.TEST_API_KEY

    assert api.look_up(notification_id)["id"] == notification_id
    assert api.listed() == []
    assert api.listed("?reference=r") == []


def test_notification_of_another_service_is_not_found(api: Api) -> None:
    notification_id = api.send()
    Notification.objects.update(service_id=uuid4())

    response = api.get(f"/v2/notifications/{notification_id}")

    assert response.status_code == 404
    assert response.json() == {
        "errors": [{"error": "NoResultFound", "message": "No result found"}],
        "status_code": 404,
    }
    assert api.listed() == []


def test_text_that_is_no_id_is_refused(api: Api) -> None:
    response = api.get("/v2/notifications/not-a-uuid")

    assert response.status_code == 400
    assert messages_of(response) == ["notification_id is not a valid UUID"]


def test_e_mail_has_no_pdf(api: Api) -> None:
    response = api.get(f"/v2/notifications/{api.send()}/pdf")

    assert response.status_code == 400
    assert messages_of(response) == ["Notification is not a letter"]


def test_reference_is_compared_exactly_and_may_be_empty(api: Api) -> None:
    first, second = api.send(reference="Ref"), api.send(reference="Ref")
    api.send(reference="ref")
    api.send(reference="Ref ")
    empty = api.send(reference="")
    api.send()

    assert api.listed("?reference=Ref") == [second, first]
    assert api.listed("?reference=") == [empty]
    assert api.look_up(empty)["reference"] == ""


def test_reference_with_nul_is_a_500(api: Api) -> None:
    response = api.get("/v2/notifications?reference=a%00b")

    assert response.status_code == 500
    assert response.json()["errors"] == [{"error": "ValueError", "message": "Internal server error"}]


def _insert(count: int, **values: Any) -> list[str]:
    """Store emails a second apart, and return their ids, newest first."""
    rows = [
        Notification(
            service_id=UUID(defaults.SERVICE_ID),
            key_kind="live",
            email_address=ADDRESS,
            template_id=UUID(defaults.PLAIN_TEMPLATE_ID),
            template_version=1,
            content='{"subject": "s", "body": "b"}',
            request_body="{}",
            final_status="delivered",
            **{"created_at": clock.real_now() - (count - number) * SECOND, **values},
        )
        for number in range(count)
    ]
    Notification.objects.bulk_create(rows)
    return [str(row.notification_id) for row in reversed(rows)]


def test_pages_of_250_follow_each_other_to_an_empty_one(api: Api) -> None:
    ids = _insert(501)
    path, sizes, seen = "/v2/notifications?status=created", [], []

    while path:
        page = api.get(path).json()
        sizes.append(len(page["notifications"]))
        seen += [item["id"] for item in page["notifications"]]
        assert page["links"]["current"] == f"http://testserver{path}"
        if page["notifications"]:
            assert page["links"]["next"] == f"http://testserver/v2/notifications?status=created&older_than={seen[-1]}"
        following = urlsplit(page["links"].get("next", ""))
        path = f"{following.path}?{following.query}" if following.path else ""

    assert sizes == [250, 250, 1, 0]
    assert seen == ids


def test_rows_that_share_the_cursors_microsecond_are_skipped(api: Api) -> None:
    ids = _insert(4, created_at=clock.real_now())

    assert api.listed() == ids
    assert api.listed(f"?older_than={ids[1]}") == []


def test_unknown_cursor_gives_an_empty_page(api: Api) -> None:
    api.send()
    cursor = uuid4()

    page = api.get(f"/v2/notifications?older_than={cursor}").json()

    assert page == {
        "notifications": [],
        "links": {"current": f"http://testserver/v2/notifications?older_than={cursor}"},
    }


def test_template_types_other_than_e_mail_list_nothing(api: Api) -> None:
    notification_id = api.send()

    assert api.listed("?template_type=sms&template_type=letter") == []
    assert api.listed("?template_type=sms&template_type=email") == [notification_id]
    assert api.listed("?include_jobs=true") == [notification_id]


def test_head_is_answered_like_get_without_a_body(api: Api) -> None:
    notification_id = api.send()

    for path in ("/v2/notifications", f"/v2/notifications/{notification_id}"):
        response = api.request("HEAD", path)
        assert response.status_code == 200
        assert response.content == b""


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        ("include_jobs=yes", ["include_jobs yes is not one of [true, True]"]),
        ("older_than=nope", ["older_than is not a valid UUID"]),
        ("page=2&limit=5", ["Additional properties are not allowed (limit, page were unexpected)"]),
        (
            "template_type=fax&template_type=sms&template_type=post",
            [
                "template_type fax is not one of [sms, email, letter]",
                "template_type post is not one of [sms, email, letter]",
            ],
        ),
    ],
)
def test_unknown_queries_are_refused(api: Api, query: str, messages: list[str]) -> None:
    response = api.get(f"/v2/notifications?{query}")

    assert response.status_code == 400
    assert messages_of(response) == messages

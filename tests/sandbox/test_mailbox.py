"""The mailbox: what its pages show, what its buttons do, and what they keep to themselves."""

from __future__ import annotations

import base64
import re
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.mailbox import emails, live
from django_govuk_notify_outbox.sandbox.models import Notification, Receipt

from .conftest import ADDRESS, Api

EVIL = '<script>alert(1)</script> ((secret)) {{ settings.SECRET_KEY }} {% debug %} <img src=x onerror="alert(1)">'

#: The sandbox beside a project's own pages, under a prefix.
urlpatterns = [path("notify/", include("django_govuk_notify_outbox.sandbox.urls"))]


def _page(api: Api, address: str = "/mailbox/", status: int = 200) -> str:
    response = api.client.get(address)
    assert response.status_code == status
    return str(response.content.decode())


def _subjects(page: str) -> list[str]:
    return [unescape(text) for text in re.findall(r'<a class="subject" href="[^"]*">(.*?)</a>', page)]


def _recipients(page: str) -> list[str]:
    return re.findall(r'<span class="hidden">to </span>(.*?)</span>', page)


def _tags(page: str) -> list[str]:
    return re.findall(r'class="tag [^>]*>(.*?)<', page)


def _facts(page: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", page, re.DOTALL)}


@pytest.mark.parametrize("address", ["/", "/mailbox/"])
def test_mailbox_lists_emails_newest_first_with_recipient_and_status(api: Api, address: str) -> None:
    first = api.send(email_address="first@example.com")
    api.send(email_address="second@example.com", template_id=defaults.TEMPLATE_ID, personalisation={"name": "Zoë & Bo"})
    api.control(f"emails/{first}/status", status="permanent-failure")

    page = _page(api, address)

    assert _subjects(page) == ["Hello Zoë & Bo", "We received your application"]
    assert _recipients(page) == ["second@example.com", "first@example.com"]
    assert _tags(page) == ["Created", "Permanent failure"]
    assert "2 emails, newest first" in page
    assert "No emails yet" not in page


def test_empty_mailbox_says_how_to_send_the_first_email(api: Api) -> None:
    page = unescape(_page(api))

    assert "No emails yet" in page
    assert 'DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = "http://testserver"' in page
    assert f'DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = "{defaults.API_KEY}"' in page
    assert f'send_email_notification("amala@example.com", "{defaults.PLAIN_TEMPLATE_ID}")' in page
    assert "Empty the mailbox" not in page


def test_filter_shows_only_recipients_whose_address_contains_it(api: Api) -> None:
    for name in ("amala", "bo", "amal"):
        api.send(email_address=f"{name}@example.com")

    page = _page(api, "/mailbox/?recipient=%20AMALA%20")

    assert _recipients(page) == ["amala@example.com"]
    assert "1 email to “AMALA”, newest first" in page
    assert 'value="AMALA"' in page


def test_filter_without_a_match_says_so_and_leads_back(api: Api) -> None:
    api.send()

    page = _page(api, "/mailbox/?recipient=nobody%00%3Cb%3E")

    assert _recipients(page) == []
    assert "There is no email to “nobody&lt;b&gt;”" in page
    assert "No emails yet" not in page
    assert '<a href="/mailbox/">Show all emails</a>' in page


def test_page_holds_a_bounded_number_of_emails_and_leads_to_the_older_ones(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emails, "PAGE_SIZE", 2)
    for number in range(5):
        api.send(email_address=f"{number}@example.com")
    api.send(email_address="bo@example.org")
    seen, address = [], "/mailbox/?recipient=example.com"
    for _ in range(3):
        page = _page(api, address)
        seen.append(_recipients(page))
        found = re.search(r'<a href="([^"]*)" rel="next">Older emails', page)
        address = unescape(found[1]) if found else ""

    assert seen == [["4@example.com", "3@example.com"], ["2@example.com", "1@example.com"], ["0@example.com"]]
    assert address == ""
    assert "1 of 5 emails" in page
    assert '<a href="/mailbox/?recipient=example.com">Newest emails</a>' in page


def test_page_after_the_last_one_is_empty_and_says_so(api: Api) -> None:
    api.send()

    assert "There is no older email." in _page(api, "/mailbox/?older_than=0")


@pytest.mark.parametrize("nonsense", ["x", "-1", "²", "9" * 30])
def test_page_after_nonsense_is_the_first_one(api: Api, nonsense: str) -> None:
    api.send()

    assert _recipients(_page(api, f"/mailbox/?older_than={nonsense}")) == [ADDRESS]


def test_listing_reads_neither_bodies_nor_attachments(api: Api, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        api.send(template_id=defaults.TEMPLATE_ID, personalisation={"name": "x" * 100_000})

    # the clock and the emails, once for the version and once for the page, and how many there are
    with django_assert_num_queries(5) as captured:
        page = _page(api)

    assert all("request_body" not in query["sql"] for query in captured.captured_queries)
    assert len(page) < 20_000
    assert [subject[:8] for subject in _subjects(page)] == ["Hello xx"] * 3
    assert all(subject.endswith("…") for subject in _subjects(page))


def test_email_is_shown_with_all_that_its_sender_can_know(api: Api) -> None:
    notification_id = api.send(
        reference="permit-17",
        email_reply_to_id=defaults.REPLY_TO_ID,
        one_click_unsubscribe_url="https://example.gov.uk/stop",
        template_id=defaults.TEMPLATE_ID,
        personalisation={"name": "Amala", "numbers": [1, 2]},
    )

    page = _page(api, f"/mailbox/{notification_id}/")

    assert "<h1>Hello Amala</h1>" in page
    assert _tags(page) == ["Created"]
    facts = _facts(page)
    accepted = facts.pop("Accepted")
    assert re.search(r">\d+ \w+ \d{4}, \d\d:\d\d:\d\d</time>", accepted)
    assert facts == {
        "To": ADDRESS,
        "From": "sandbox@notifications.service.gov.uk",
        "Reply to": defaults.REPLY_TO_ADDRESS,
        "Reference": "permit-17",
        "One-click unsubscribe": "https://example.gov.uk/stop",
        "Template": "Hello, version 1",
        "Template id": defaults.TEMPLATE_ID,
        "Notify id": notification_id,
        "API key": "live",
        "Delivery receipt": "none: the sandbox was not told where to post them",
        "name": "Amala",
        "numbers": "[1, 2]",
    }
    assert f'<iframe src="/mailbox/{notification_id}/body"' in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page


def test_body_is_what_its_recipient_sees(api: Api) -> None:
    notification_id = api.send(
        template_id=defaults.APPOINTMENT_TEMPLATE_ID,
        personalisation={
            "name": "Amala",
            "date": "3 March",
            "time": "10am",
            "place": "https://example.gov.uk/map",
            "reference": ["one", "two"],
        },
    )
    previewed = api.request(
        "POST",
        f"/v2/template/{defaults.APPOINTMENT_TEMPLATE_ID}/preview",
        {"personalisation": Notification.objects.get().personalisation},
    ).json()["html"]

    page = _page(api, f"/mailbox/{notification_id}/body")

    assert previewed in page
    assert ">Where</h2>" in page
    assert "<title>Your appointment on 3 March</title>" in page


def test_what_a_caller_gives_is_text_on_every_page(api: Api) -> None:
    notification_id = api.send(
        template_id=defaults.TEMPLATE_ID,
        personalisation={"name": f"{EVIL} [click](javascript:alert(1))", EVIL: EVIL},
        reference=EVIL,
    )
    own = re.compile(r'<script src="/mailbox/assets/mailbox.js" defer></script>')

    for address in ("/mailbox/", f"/mailbox/{notification_id}/", f"/mailbox/{notification_id}/body"):
        page = own.sub("", _page(api, address))
        assert "<script" not in page
        assert "<img" not in page
        assert 'href="javascript' not in page
        assert "{{ settings.SECRET_KEY }}" in page
        assert "((secret))" in page


def test_pages_forbid_what_they_do_not_need(api: Api) -> None:
    notification_id = api.send()
    page = api.client.get(f"/mailbox/{notification_id}/")
    body = api.client.get(f"/mailbox/{notification_id}/body")

    assert page["X-Frame-Options"] == "DENY"
    assert page["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "unsafe" not in page["Content-Security-Policy"]
    assert body["X-Frame-Options"] == "SAMEORIGIN"
    policy = body["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; form-action 'none';")
    assert policy.endswith("sandbox allow-popups allow-popups-to-escape-sandbox")
    assert "script" not in policy
    for response in (page, body):
        assert response["Cache-Control"] == "no-store"
        assert response["X-Content-Type-Options"] == "nosniff"


def test_files_are_listed_and_can_be_fetched(api: Api, settings: Settings) -> None:
    settings.GOVUK_NOTIFY_SANDBOX_CONTACT_LINK = "https://example.gov.uk/contact"
    contents = {"permit.pdf": b"%PDF-1.4", "list.csv": b"a,b\n" * 1000}
    described = {
        name.split(".")[0]: {"file": base64.b64encode(content).decode(), "filename": name}
        for name, content in contents.items()
    }
    notification_id = api.send(
        template_id=defaults.TEMPLATE_ID, personalisation={"name": described["permit"], "more": described["list"]}
    )

    page = _page(api, f"/mailbox/{notification_id}/")

    links = re.findall(r'<li><a href="([^"]*)" download="[^"]*">(.*?)</a> \((.*?)\)', page)
    assert [(name, size) for _, name, size in links] == [("permit.pdf", "8 bytes"), ("list.csv", "4 kB")]
    for link, name, _ in links:
        fetched = api.client.get(unescape(link))
        assert fetched["Content-Disposition"] == f'attachment; filename="{name}"'
        assert fetched.content == contents[name]
    assert _facts(page)["name"] == "a file"


@pytest.mark.parametrize(
    ("status", "tag"),
    [
        ("delivered", "Delivered"),
        ("permanent-failure", "Permanent failure"),
        ("temporary-failure", "Temporary failure"),
        ("technical-failure", "Technical failure"),
    ],
)
def test_buttons_decide_what_becomes_of_an_email(api: Api, status: str, tag: str) -> None:
    other = api.send()
    notification_id = api.send()

    response = api.client.post(f"/mailbox/{notification_id}/status", {"status": status}, follow=True)

    assert response.redirect_chain == [(f"/mailbox/{notification_id}/?done={status}", 303)]
    page = response.content.decode()
    assert f"The status is now “{tag}”." in page
    assert _tags(page) == [tag]
    assert "Notify never changes a final status" in page
    assert api.look_up(notification_id)["status"] == status
    assert api.look_up(other)["status"] == "created"


def test_deciding_posts_the_receipt_in_place_of_the_one_that_was_planned(api: Api) -> None:
    api.control("callback", url="http://127.0.0.1:9/receipts", token="t")
    notification_id = api.send()
    assert _facts(_page(api, f"/mailbox/{notification_id}/"))["Delivery receipt"] == "waits for the final status"

    api.client.post(f"/mailbox/{notification_id}/status", {"status": "permanent-failure"})
    api.control("receipts/post")

    assert [row["payload"]["status"] for row in api.asked("receipts")] == ["permanent-failure"]
    told = _facts(_page(api, f"/mailbox/{notification_id}/"))["Delivery receipt"]
    assert told == "failed: ConnectionRefusedError (attempt 1)"
    Receipt.objects.update(outcome="204")
    assert _facts(_page(api, f"/mailbox/{notification_id}/"))["Delivery receipt"] == "posted, answered 204 (attempt 1)"
    Receipt.objects.all().delete()
    assert _facts(_page(api, f"/mailbox/{notification_id}/"))["Delivery receipt"] == "none"


def test_made_up_status_is_shown_as_it_is_and_has_no_button(api: Api) -> None:
    notification_id = api.send()
    api.control(f"emails/{notification_id}/status", status="<i>pending</i>")

    assert _tags(_page(api)) == ["&lt;i&gt;pending&lt;/i&gt;"]
    response = api.client.post(f"/mailbox/{notification_id}/status", {"status": "pending"})
    assert response.status_code == 400
    assert api.look_up(notification_id)["status"] == "<i>pending</i>"


def test_email_that_a_fault_hides_is_in_the_mailbox_and_says_so(api: Api) -> None:
    api.control("faults", hidden_for=60)
    notification_id = api.send()

    page = _page(api, f"/mailbox/{notification_id}/")

    assert _facts(page)["Look-ups"] == "do not find it yet: a fault hides it"


def test_email_of_a_service_that_is_gone_is_still_shown(api: Api) -> None:
    notification_id = api.send()
    Notification.objects.update(service_id=uuid4())

    facts = _facts(_page(api, f"/mailbox/{notification_id}/"))

    assert facts["From"] == "a service that is gone"
    assert facts["Template"] == "version 1"


def test_emptying_forgets_emails_and_keeps_faults(api: Api) -> None:
    notification_id = api.send()
    api.control("faults", status=500)

    response = api.client.post("/mailbox/empty", follow=True)

    page = response.content.decode()
    assert "The mailbox is empty now." in page
    assert _subjects(page) == []
    assert not Notification.objects.exists()
    assert len(api.asked("faults/waiting")) == 1
    for address in (f"/mailbox/{notification_id}/", f"/mailbox/{notification_id}/body"):
        assert "There is no such email" in _page(api, address, status=404)
    assert api.client.post(f"/mailbox/{notification_id}/status", {"status": "delivered"}).status_code == 404


def test_wrong_method_changes_nothing(api: Api) -> None:
    notification_id = api.send()

    for address in ("/mailbox/empty", f"/mailbox/{notification_id}/status", "/mailbox/faults/remove"):
        response = api.client.get(address)
        assert (response.status_code, response["Allow"]) == (405, "POST")
    assert api.client.delete("/mailbox/").status_code == 405
    assert Notification.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "kind"), [("mailbox.css", "text/css"), ("mailbox.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_assets_come_from_the_sandbox_itself(api: Api, name: str, kind: str) -> None:
    response = api.client.get(f"/mailbox/assets/{name}")

    assert (response.status_code, response["Content-Type"]) == (200, kind)
    assert api.client.get("/mailbox/assets/layout.html").status_code == 404
    assert re.findall(rb"https?://(?!www.w3.org/2000/svg)", response.content) == []


def test_pages_need_no_template_engine_of_the_project(api: Api, settings: Settings) -> None:
    settings.TEMPLATES = []
    api.send()

    assert _recipients(_page(api)) == [ADDRESS]


def test_links_lead_to_wherever_the_sandbox_is_mounted(api: Api, settings: Settings) -> None:
    notification_id = api.send()
    settings.ROOT_URLCONF = __name__

    for address in ("/notify/", f"/notify/mailbox/{notification_id}/", "/notify/mailbox/faults/"):
        page = _page(api, address)
        paths = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert len(paths) > 5
        assert all(link.startswith("/notify/mailbox/") for link in paths), paths
        assert all(Client().head(link).status_code in (200, 405) for link in paths)


def test_question_for_news_is_answered_at_once_if_there_is_any(api: Api) -> None:
    api.send()
    seen = _version(_page(api))
    notification_id = api.send(email_address="new@example.com")

    page = _page(api, f"/mailbox/?seen={seen}")

    assert _recipients(page) == ["new@example.com", ADDRESS]
    assert _version(page) != seen
    for address in (f"/mailbox/{notification_id}/", "/mailbox/faults/"):
        before = _version(_page(api, address))
        api.control("faults", status=500)
        api.control(f"emails/{notification_id}/status", status="delivered")
        assert _version(_page(api, f"{address}?seen={before}")) != before


def test_question_for_news_waits_and_is_answered_when_there_is_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LONGEST", 0.05)
    monkeypatch.setattr(live, "_PAUSE", 0.01)
    notification_id = api.send()
    api.control(f"emails/{notification_id}/status", status="delivered")

    for address in ("/mailbox/", f"/mailbox/{notification_id}/", "/mailbox/faults/"):
        seen = _version(_page(api, address))
        response = api.client.get(f"{address}?seen={seen}", **{"wsgi.multithread": True})  # type: ignore[arg-type]
        assert (response.status_code, response.content) == (204, b"")


def test_server_for_one_request_at_a_time_is_not_held_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LONGEST", 3600.0)  # it would run into the test's time limit
    api.send()
    seen = _version(_page(api))

    response = api.client.get(f"/mailbox/?seen={seen}", **{"wsgi.multithread": False})  # type: ignore[arg-type]

    assert response.status_code == 204


def _version(page: str) -> str:
    found = re.search(r'data-version="(\w+)"', page)
    assert found is not None
    return found[1]

"""The mailbox and the page of faults in a real browser: clicks, keys, live updates, and a scan for accessibility."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from notifications_python_client import NotificationsAPIClient
from notifications_python_client.errors import HTTPError

from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.process import running_sandbox
from tests.browsers import NARROW, WIDE, Open, chromium, sticks_out, violations, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ADDRESS = "amala@example.com"
PERMIT = "0f6d2f5e-7d67-4a3c-9c6b-3d1f6a0b7a11"
TEMPLATE = {
    "name": "Permit",
    "subject": "Your permit, ((name))",
    "body": "# Your permit\n\nDear ((name)),\n\n* take it\n* ((file))\n\n^ By 3 March.\n\n"
    "[Manage it](https://www.example.gov.uk/permits)",
}
EVIL = '<script>alert(1)</script><img src=x onerror="alert(1)"><iframe src="javascript:alert(1)"></iframe>'


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that can send files, with a template that has some of everything."""
    templates = tmp_path_factory.mktemp("templates") / "templates.json"
    templates.write_text(json.dumps({PERMIT: TEMPLATE}))
    options = ("--templates", str(templates), "--contact-link", "https://www.example.gov.uk/contact")
    with running_sandbox(*options) as sandbox:
        yield sandbox


# For this module alone: while it is there, Django takes the thread for one that must not use the database.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, mailbox: Sandbox) -> Iterator[Open]:
    """Opens pages of an empty sandbox. In the end: no page had an error, asked elsewhere or ran what it was given."""
    mailbox.reset()
    mailbox.set_timing(sending_after=0, final_after=3600)
    # The browser also tells of a form that came back with its mistakes
    with watched(browser, mailbox.base_url, expected="status of 400") as open_one:
        yield open_one


@pytest.fixture
def client(mailbox: Sandbox) -> NotificationsAPIClient:
    return NotificationsAPIClient(mailbox.api_key, base_url=mailbox.base_url)


def send(client: NotificationsAPIClient, address: str = ADDRESS, name: str = "Amala") -> str:
    answer = client.send_email_notification(address, defaults.TEMPLATE_ID, {"name": name})
    return str(answer["id"])


def send_permit(client: NotificationsAPIClient, name: str = "Amala") -> str:
    file = {"file": base64.b64encode(b"%PDF-1.4").decode(), "filename": "permit.pdf"}
    return str(client.send_email_notification(ADDRESS, PERMIT, {"name": name, "file": file})["id"])


def subjects(page: Page) -> list[str]:
    return page.locator(".emails .subject").all_inner_texts()


def announced(page: Page, text: str) -> None:
    """Wait until screen readers have been told of it."""
    page.locator("#news").filter(has_text=text).wait_for(state="attached")


def test_new_emails_show_up_by_themselves_and_are_announced(open_page: Open, client: NotificationsAPIClient) -> None:
    page = open_page()
    page.get_by_role("heading", name="No emails yet").wait_for()

    send(client, name="Amala")
    announced(page, "New email: Hello Amala, to amala@example.com")
    assert page.locator("#none").inner_text() == ""
    page.get_by_role("link", name="Hello Amala").focus()
    send(client, name="Bo")
    announced(page, "New email: Hello Bo")

    assert subjects(page) == ["Hello Bo", "Hello Amala"]
    assert page.locator("#count").inner_text() == "2 emails, newest first"
    # Nobody loses their place
    assert page.evaluate("document.activeElement.textContent") == "Hello Amala"
    assert page.locator("#news").get_attribute("aria-live") == "polite"
    assert page.get_by_text("This page keeps itself up to date.").is_visible()


def test_status_in_the_list_changes_by_itself(
    open_page: Open, client: NotificationsAPIClient, mailbox: Sandbox
) -> None:
    notification_id = send(client)
    page = open_page()
    assert page.locator(".tag").inner_text() == "Sending"

    mailbox.set_status(notification_id, "temporary-failure")

    page.get_by_text("Temporary failure").wait_for()
    assert page.locator("#news").text_content() == ""


def test_filter_leaves_the_emails_to_one_recipient_and_hears_of_no_others(
    open_page: Open, client: NotificationsAPIClient
) -> None:
    send(client, "bo@example.com", "Bo")
    send(client)
    page = open_page()

    page.get_by_label("Recipient").fill("amala")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/mailbox/?recipient=amala")
    assert subjects(page) == ["Hello Amala"]
    send(client, "bo@example.com", "Bo again")
    send(client, name="Amala again")
    announced(page, "New email: Hello Amala again")

    assert subjects(page) == ["Hello Amala again", "Hello Amala"]
    page.get_by_role("link", name="Show all").click()
    page.wait_for_url("**/mailbox/")
    assert len(subjects(page)) == 4


@pytest.mark.parametrize(
    ("button", "status", "tag"),
    [
        ("Deliver now", "delivered", "Delivered"),
        ("Bounce", "permanent-failure", "Permanent failure"),
        ("Fail for now", "temporary-failure", "Temporary failure"),
        ("Fail at Notify", "technical-failure", "Technical failure"),
    ],
)
def test_click_decides_what_becomes_of_an_email(
    open_page: Open, client: NotificationsAPIClient, button: str, status: str, tag: str
) -> None:
    notification_id = send(client)
    page = open_page()

    page.get_by_role("link", name="Hello Amala").click()
    page.get_by_role("button", name=button).click()

    page.get_by_role("status").filter(has_text=f"The status is now “{tag}”.").wait_for()
    assert page.locator("#status .tag").inner_text() == tag
    assert client.get_notification_by_id(notification_id)["status"] == status
    # The page's script moves the focus, which may be a moment after the words are there
    page.wait_for_function("document.activeElement.id === 'done'")


def test_email_is_shown_as_its_recipient_sees_it_with_its_file(open_page: Open, client: NotificationsAPIClient) -> None:
    notification_id = send_permit(client)
    page = open_page(f"/mailbox/{notification_id}/")

    email = page.frame_locator("iframe[title='The email as its recipient sees it']")
    email.get_by_role("heading", name="Your permit").wait_for()
    assert email.get_by_role("listitem").all_inner_texts()[0] == "take it"
    assert email.locator("blockquote").inner_text() == "By 3 March."
    with page.expect_download() as download:
        page.get_by_role("link", name="permit.pdf").click()

    assert download.value.suggested_filename == "permit.pdf"
    assert Path(download.value.path()).read_bytes() == b"%PDF-1.4"
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open the email by itself").click()
    assert popup.value.url.endswith(f"/mailbox/{notification_id}/body")


def test_status_of_an_open_email_changes_by_itself_and_is_announced(
    open_page: Open, client: NotificationsAPIClient, mailbox: Sandbox
) -> None:
    notification_id = send(client)
    page = open_page(f"/mailbox/{notification_id}/")
    page.get_by_text("Personalisation").click()

    mailbox.set_status(notification_id, "delivered")
    announced(page, "Status: Delivered")

    assert page.locator("#status .tag").inner_text() == "Delivered"
    # What was opened stays open
    assert page.get_by_role("term").filter(has_text="name").is_visible()


def test_nothing_that_a_caller_gives_runs_in_the_browser(open_page: Open, client: NotificationsAPIClient) -> None:
    notification_id = send_permit(client, name=EVIL + " [click](javascript:alert(1))")
    page = open_page()
    page.get_by_role("link", name="Your permit").click()
    email = page.frame_locator("iframe")
    email.get_by_text("<script>alert(1)</script>").wait_for()

    assert page.locator("script").count() == 1
    assert email.locator("script, img, iframe, [onerror]").count() == 0
    assert email.locator("a[href^=javascript]").count() == 0
    (frame,) = page.frames[1:]
    assert frame.url.endswith(f"/mailbox/{notification_id}/body")
    # The frame belongs to no site, so that it can't reach the page even if something ran in it
    assert frame.evaluate("self.origin") == "null"


def test_fault_is_ordered_by_clicks_strikes_and_is_gone(open_page: Open, client: NotificationsAPIClient) -> None:
    page = open_page()
    page.get_by_role("link", name="Faults").click()
    page.get_by_label("429 Rate limit").check()
    page.get_by_label("How many requests").fill("2")
    page.get_by_role("button", name="Add this fault").click()
    page.get_by_text("2 requests left").wait_for()

    with pytest.raises(HTTPError) as refused:
        send(client)

    assert refused.value.status_code == 429
    page.get_by_text("1 request left").wait_for()
    with pytest.raises(HTTPError):
        send(client)
    announced(page, "0 faults waiting")
    assert page.get_by_text("Nothing: every request is answered as Notify would answer it.").is_visible()
    send(client)


def test_outage_is_ordered_and_cleared_by_clicks(open_page: Open, client: NotificationsAPIClient) -> None:
    page = open_page("/mailbox/faults/")
    for kind in ("Every connection cut", "503 to everything"):
        page.get_by_label(kind).check()
        page.get_by_label("Seconds", exact=True).fill("60")
        page.get_by_role("button", name="Add this fault").click()
        page.get_by_role("status").filter(has_text="The fault waits").wait_for()
    with pytest.raises(HTTPError):
        send(client)

    page.get_by_role("button", name="Remove The connection is cut").click()
    page.get_by_role("status").filter(has_text="Nothing of that will go wrong").wait_for()
    with pytest.raises(HTTPError) as refused:
        send(client)
    assert refused.value.status_code == 503
    page.get_by_role("button", name="Remove The answer is 503").click()
    page.get_by_text("Nothing: every request").wait_for()

    send(client)


def test_mistake_in_the_form_is_where_the_focus_goes(open_page: Open) -> None:
    page = open_page("/mailbox/faults/")
    page.get_by_role("button", name="Add this fault").click()

    page.get_by_role("alert").filter(has_text="There is a problem").wait_for()
    page.wait_for_function("document.activeElement.id === 'errors'")
    page.get_by_role("link", name="Select what goes wrong").click()
    page.wait_for_function("document.activeElement.id === 'kind-slow'")
    assert page.title().startswith("Error: Faults")


def test_keyboard_alone_is_enough(open_page: Open, client: NotificationsAPIClient) -> None:
    send(client, name="older")
    notification_id = send(client)
    page = open_page()

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    # The filter's field and button, and then the newest email
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/mailbox/{notification_id}/")
    page.get_by_role("button", name="Deliver now").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?done=permanent-failure")

    assert client.get_notification_by_id(notification_id)["status"] == "permanent-failure"


def test_everything_but_live_updates_works_without_javascript(open_page: Open, client: NotificationsAPIClient) -> None:
    notification_id = send(client)
    page = open_page("/", java_script_enabled=False)

    assert page.get_by_text("Reload the page to see what is new.").is_visible()
    page.get_by_label("Recipient").fill("amala")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="Hello Amala").click()
    page.get_by_role("button", name="Bounce").click()
    assert client.get_notification_by_id(notification_id)["status"] == "permanent-failure"
    page.get_by_role("link", name="Faults").click()
    page.get_by_label("500 Server error").check()
    page.get_by_role("button", name="Add this fault").click()
    page.get_by_text("1 request left").wait_for()
    page.get_by_role("link", name="Mailbox").click()
    page.get_by_text("Empty the mailbox").click()
    page.get_by_role("button", name="Forget all emails").click()

    page.get_by_role("heading", name="No emails yet").wait_for()


def test_page_says_when_the_sandbox_does_not_answer(browser: Browser) -> None:
    with running_sandbox() as sandbox:
        page = browser.new_page()
        page.goto(sandbox.base_url)
        page.get_by_text("This page keeps itself up to date.").wait_for()
    page.get_by_text("The sandbox does not answer. This page tries again.").wait_for()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_and_nothing_sticks_out(
    open_page: Open,
    client: NotificationsAPIClient,
    mailbox: Sandbox,
    scheme: str,
    viewport: dict[str, int],
    tmp_path: Path,
) -> None:
    scanned = []

    def scan(page: Page, *, without: str | None = None) -> None:
        scanned.append(page.title())
        page.screenshot(path=tmp_path / f"{len(scanned)}.png", full_page=True)
        assert violations(page, without) == []
        assert not sticks_out(page)

    look = {"color_scheme": scheme, "viewport": viewport, "reduced_motion": "reduce"}
    scan(open_page("/", **look))
    ids = [send_permit(client, name="x" * 80)]
    ids += [send(client, f"{status}@example.com") for status in ("a.rather.long.address.of.somebody.who.has.one", "b")]
    for notification_id, status in zip(ids, ("delivered", "permanent-failure", "temporary-failure"), strict=True):
        mailbox.set_status(notification_id, status)
    send(client)
    mailbox.add_fault(status=500)
    mailbox.add_fault(on="ANY", cut=True, lasting=60, email_address="nobody@example.com")
    for path in (
        "/",
        "/?recipient=nobody",
        f"/mailbox/{ids[0]}/",
        "/mailbox/faults/",
        "/mailbox/faults/?done=timed",
    ):
        scan(open_page(path, **look))
    page = open_page(f"/mailbox/{ids[0]}/", **look)
    page.get_by_text("Personalisation").click()
    page.get_by_text("Body as text").click()
    scan(page)
    page.goto(f"{mailbox.base_url}/mailbox/faults/")
    page.get_by_role("button", name="Add this fault").click()
    page.get_by_role("alert").wait_for()
    scan(page)

    # Its own address lets no script run, not even this one
    body = page.request.get(f"{mailbox.base_url}/mailbox/{ids[0]}/body").text()
    page.goto("about:blank")
    page.set_content(body)
    # Notify's emails begin with headings of the second level
    scan(page, without="page-has-heading-one")

    assert len(scanned) == 9
    assert scanned[0] == scanned[1] == "Mailbox – Notify sandbox"

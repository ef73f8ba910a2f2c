"""The admin in a real browser: what the people at the desk see and do there, by mouse and by keyboard."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from django_govuk_notify_outbox import delivery, masking
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.operations import Operation
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import Status
from tests.browsers import NARROW, WIDE, Open, chromium, sticks_out, violations, watched
from tests.conftest import ADDRESS, MakeEmail, pushed
from tests.desk import CONTENTS, LIST, PERMISSIONS, VIEW, do_url, logged_in, url_of
from tests.linking.models import Appeal, Licence

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SUMMARY = f"{LIST}summary/"
SUBJECT = "Your appointment on 3 March"
EVERYTHING = (VIEW, CONTENTS, *PERMISSIONS.values(), "view_licence", "view_appeal")
ANSWER = '{"errors": [{"error": "Exception", "message": "Internal server error"}]}'
TRACEBACK = "Traceback (most recent call last):\n  ...\nnotifications_python_client.errors.HTTPError: 500"


# For this module alone, as the browser is. While Playwright runs, Django takes the thread for one that must not use the
# database, though nothing else happens in it meanwhile.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, chromium() as running:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield running


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer) -> Iterator[Open]:
    """Opens pages of the tests' project. In the end: no page had an error, asked elsewhere or ran what it was given."""
    # The browser also tells of a page that is refused, and that the admin has no icon
    with watched(browser, live_server.url, expected=r"status of 403|/favicon\.ico$") as open_one:
        yield open_one


@pytest.fixture
def open_as(open_page: Open) -> Open:
    """Opens pages as olu, who has these permissions, or all of them."""

    def open_one(path: str = LIST, *, may: tuple[str, ...] = EVERYTHING, **options: Any) -> Page:
        client = logged_in(*may, name=options.pop("name", "olu"))
        return open_page(path, cookies={name: each.value for name, each in client.cookies.items()}, **options)

    return open_one


@pytest.fixture
def bounced(make_email: MakeEmail) -> EmailMessage:
    """An email that Notify took at the second attempt and could not deliver."""
    began = timezone.now() - dt.timedelta(hours=1)
    email = make_email(
        Status.NOTIFY_PERMANENT_FAILURE,
        created_at=began,
        subject=SUBJECT,
        reference="case 17",
        attempts=2,
        attempt_started_at=began + dt.timedelta(seconds=6),
        sent_at=began + dt.timedelta(seconds=7),
        status_changed_at=began + dt.timedelta(seconds=70),
    )
    answered = {"http_status": 500, "error_type": "Exception", "message": "Internal server error", "duration": 0.25}
    raised = {"exception": "notifications_python_client.errors.HTTPError", "traceback": TRACEBACK}
    for seconds, kind, source, outcome, status, more in (
        (1, "attempt", "sending", "unclear", Status.RETRYING_SEND_TO_NOTIFY, {"attempt": 1, **answered, **raised}),
        (6, "question", "look-up", "not-found", Status.RETRYING_SEND_TO_NOTIFY, {"http_status": 200}),
        (7, "attempt", "sending", "accepted", Status.SENT_TO_NOTIFY, {"attempt": 2, "http_status": 201}),
        (12, "report", "look-up", "", Status.NOTIFY_SENDING, {"notify_status": "sending", "http_status": 200}),
        (70, "report", "receipt", "", email.status, {"notify_status": "permanent-failure"}),
    ):
        newest = email.events.last()
        EmailMessageEvent.objects.create(
            email_message=email,
            created_at=began + dt.timedelta(seconds=seconds),
            kind=kind,
            source=source,
            outcome=outcome,
            previous_status=newest.status if newest else Status.SENDING_TO_NOTIFY,
            status=status,
            **more,
        )
    return email


def everything() -> list[Any]:
    """All that is stored about emails, to be compared."""
    kept = (EmailMessage.objects.order_by("pk"), EmailMessageEvent.objects.order_by("pk"), LogEntry.objects.all())
    return [list(rows.values()) for rows in kept]


def listed(page: Page) -> list[tuple[int, str]]:
    """The emails that the list shows, with their statuses."""
    pks = page.locator("#result_list .field-id").all_inner_texts()
    return list(zip(map(int, pks), page.locator("#result_list .field-status_tag").all_inner_texts(), strict=True))


def messages(page: Page) -> list[str]:
    """What the page says was done."""
    return page.locator(".messagelist li").all_inner_texts()


def story(page: Page) -> list[str]:
    return page.locator(".outbox-event .outbox-sentence").all_inner_texts()


def possible(page: Page) -> list[str]:
    """What the page says can be done."""
    return page.locator(".outbox-possible li").all_inner_texts()


def go_to(page: Page, path: str) -> None:
    page.goto(re.sub(r"(https?://[^/]+).*", r"\1", page.url) + path)


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus says this. It can be seen to have it."""
    for _number in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == text:
            assert is_marked(page)
            return
    raise AssertionError(text)


def is_marked(page: Page) -> bool:
    """Whether what has the focus looks otherwise than without it."""
    return bool(
        page.evaluate(
            """() => {
                const look = (style) => [style.outline, style.boxShadow, style.color, style.textDecorationLine].join()
                const element = document.activeElement, focused = look(getComputedStyle(element))
                element.blur()
                const plain = look(getComputedStyle(element))
                element.focus({focusVisible: true})
                return focused !== plain
            }"""
        )
    )


def test_who_logs_in_sees_what_became_of_each_email_and_opens_one_by_keyboard_alone(
    open_page: Open, bounced: EmailMessage, make_email: MakeEmail
) -> None:
    emails = [bounced, *(make_email(status) for status in (Status.NOTIFY_DELIVERED, Status.SENDING_TO_NOTIFY))]
    User.objects.create_superuser("olu", password="not a secret")
    before = everything()
    page = open_page(LIST)

    # The name's field has the focus from the beginning
    page.keyboard.type("olu")
    page.keyboard.press("Tab")
    page.keyboard.type("not a secret")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Select email to view").wait_for()

    newest_first = [email.pk for email in reversed(emails)]
    words = ["Sending to Notify", "Notify: delivered", "Notify: permanent failure"]
    assert listed(page) == list(zip(newest_first, words, strict=True))
    page.keyboard.press("Tab")
    tab_to(page, str(bounced.pk))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{url_of(bounced)}**")
    assert page.locator(".field-status_tag .outbox-tag").inner_text() == "Notify: permanent failure"
    assert everything() == before


def test_the_list_is_narrowed_down_by_clicks(open_as: Open, bounced: EmailMessage, make_email: MakeEmail) -> None:
    make_email(Status.NOTIFY_DELIVERED)
    refused = make_email(Status.FAILED_SEND_TO_NOTIFY)
    page = open_as()
    failed = [(refused.pk, "Failed to send to Notify"), (bounced.pk, "Notify: permanent failure")]

    page.locator("#changelist-filter").get_by_role("link", name="Needs attention").click()
    page.wait_for_url("**?state=needs-attention")
    assert listed(page) == failed
    page.locator("#changelist-filter").get_by_role("link", name="Failed to send to Notify", exact=True).click()
    page.wait_for_url(re.compile("status__exact=failed-send-to-notify"))
    assert listed(page) == failed[:1]


def test_search_finds_a_whole_address_and_says_that_a_part_of_one_finds_nothing(
    open_as: Open, make_email: MakeEmail
) -> None:
    email = make_email(email_address="zoe@example.org")
    make_email()
    page = open_as()
    help_text = "Type a whole email address, reference, Notify id or email number. A part finds nothing."

    page.locator("#searchbar").fill(" Zoe@Example.ORG ")
    page.keyboard.press("Enter")
    page.wait_for_url("**?q=*")
    assert listed(page) == [(email.pk, "Sending to Notify")]
    page.locator("#searchbar").fill("zoe")
    page.keyboard.press("Enter")
    page.wait_for_url("**?q=zoe")
    assert listed(page) == []
    assert page.locator("#changelist-search .quiet").inner_text().startswith("0 results")
    assert page.get_by_text(help_text).is_visible()
    described_by = page.locator("#searchbar").get_attribute("aria-describedby")
    assert page.locator(f"#{described_by}").inner_text().strip() == help_text


def test_the_story_of_an_email_is_read_from_top_to_bottom(open_as: Open, bounced: EmailMessage) -> None:
    licence = Licence.objects.create(decision=bounced)
    appeal = Appeal.objects.create(name="Appeal of Amala", copy=bounced)
    before = everything()
    page = open_as(url_of(bounced))

    assert story(page) == [
        "Created.",
        "Attempt 1: no clear answer, so Notify may have it. Internal server error.",
        "Asked Notify, which does not have it.",
        "Attempt 2: Notify accepted it.",
        "Notify is sending it.",
        "Notify could not deliver it: the address probably does not exist.",
    ]
    tops = [box["y"] for each in page.locator(".outbox-event").all() if (box := each.bounding_box())]
    assert tops == sorted(set(tops))
    assert len(tops) == 6
    assert page.locator(".outbox-passed").all_inner_texts() == [
        f"{passed} later" for passed in ("1 second", "5 seconds", "1 second", "5 seconds", "58 seconds")
    ]
    traceback = page.locator("pre", has_text="Traceback (most recent call last)")
    assert not traceback.is_visible()
    tab_to(page, "Traceback of notifications_python_client.errors.HTTPError")
    page.keyboard.press("Enter")
    traceback.wait_for()
    assert traceback.inner_text() == TRACEBACK
    assert page.locator(".outbox-linked li").all_inner_texts() == [
        "Appeal: Appeal of Amala (copy to the court)",
        f"Licence: Licence {licence.pk} (decision)",
    ]
    page.get_by_role("link", name=appeal.name).click()
    page.wait_for_url(f"**/admin/linking/appeal/{appeal.pk}/change/")
    assert everything() == before


def test_an_email_is_sent_again_once_that_is_confirmed(open_as: Open, make_email: MakeEmail, sandbox: Sandbox) -> None:
    email = make_email(Status.FAILED_SEND_TO_NOTIFY)
    before = everything()
    page = open_as(url_of(email))
    assert possible(page) == [
        "Send again: It is sent again, with all its retries.",
        "Check status now: not possible. What became of it is known.",
        "Stop trying: not possible. It is not being sent any more.",
        "What the recipient would see: Notify is asked for it.",
    ]

    page.get_by_role("link", name="Send again").click()
    page.get_by_role("heading", name="What will happen").wait_for()
    assert page.locator("#content-main li").all_inner_texts() == ["1 email: It is sent again, with all its retries."]
    page.get_by_role("link", name="No, go back").click()
    page.wait_for_url(f"**{url_of(email)}")
    assert (everything(), pushed()) == (before, [])

    page.get_by_role("link", name="Send again").click()
    page.get_by_role("button", name="Send again: 1 email").click()
    page.wait_for_url(f"**{url_of(email)}")
    assert messages(page) == ["Send again: 1 email: It is sent again, with all its retries."]
    assert story(page) == ["Created.", "olu had it sent again."]
    assert page.locator(".field-status_tag .outbox-tag").inner_text() == "Sending to Notify"
    assert len(pushed()) == 1

    delivery.deliver(email.pk)
    page.reload()
    assert story(page) == ["Created.", "olu had it sent again.", "Attempt 1: Notify accepted it."]
    assert [each["email_address"] for each in sandbox.emails()] == [ADDRESS]
    page.get_by_role("link", name="History").click()
    page.wait_for_url(f"**{url_of(email, 'history')}")
    (entry,) = page.locator("#change-history tbody tr").all()
    assert entry.locator("td").all_inner_texts()[-1] == "Send again: It is sent again, with all its retries."
    assert "olu" in entry.inner_text()


def test_of_many_emails_those_that_cannot_be_sent_again_are_skipped_and_it_is_said_why(
    open_as: Open, make_email: MakeEmail
) -> None:
    failed, delivered = make_email(Status.FAILED_SEND_TO_NOTIFY), make_email(Status.NOTIFY_DELIVERED)
    other = make_email(Status.FAILED_SEND_TO_NOTIFY)
    page = open_as()

    for email in (failed, delivered):
        page.locator(f"input[name=_selected_action][value='{email.pk}']").check()
    page.locator("select[name=action]").select_option(label="Send selected emails again")
    page.locator("button[name=index]").click()
    page.get_by_role("heading", name="Send again: 2 emails").wait_for()
    assert page.locator("#content-main li").all_inner_texts() == [
        "1 email: It is sent again, with all its retries.",
        "1 email: It was delivered.",
    ]
    rows = page.locator(".outbox-table tbody tr")
    assert [" ".join(text.split()) for text in rows.all_inner_texts()] == [
        f"{delivered.pk} Notify: delivered Skipped: It was delivered.",
        f"{failed.pk} Failed to send to Notify It is sent again, with all its retries.",
    ]
    assert EmailMessageEvent.objects.count() == 0
    page.get_by_role("button", name="Send again: 1 email").click()
    page.locator("#result_list").wait_for()

    assert messages(page) == [
        "Send again: 1 email: It is sent again, with all its retries.",
        "Send again: skipped 1 email: It was delivered.",
    ]
    assert listed(page) == [
        (other.pk, "Failed to send to Notify"),
        (delivered.pk, "Notify: delivered"),
        (failed.pk, "Sending to Notify"),
    ]
    assert [event.email_message_id for event in EmailMessageEvent.objects.all()] == [failed.pk]
    assert len(pushed()) == 1


def test_an_email_that_waits_is_stopped(open_as: Open, make_email: MakeEmail) -> None:
    email, other = make_email(), make_email()
    page = open_as(url_of(email))
    assert page.locator(".field-stopped .readonly").inner_text() == "No"

    page.get_by_role("link", name="Stop trying").click()
    page.get_by_role("button", name="Stop trying: 1 email").click()
    page.wait_for_url(f"**{url_of(email)}")

    assert messages(page) == ["Stop trying: 1 email: It will not be sent."]
    assert story(page) == ["Created.", "olu stopped it, so it is not sent."]
    assert page.locator(".field-stopped .readonly").inner_text() == "Yes"
    assert page.locator(".field-status_tag .outbox-tag").inner_text() == "Failed to send to Notify"
    other.refresh_from_db()
    assert (other.status, other.is_stopped, other.events.count(), pushed()) == ("sending-to-notify", False, 0, [])


def test_notify_is_asked_about_an_email_when_sync_comes_by(open_as: Open, make_email: MakeEmail) -> None:
    email = make_email(Status.NOTIFY_SENDING, due_at=timezone.now() + dt.timedelta(hours=1))
    page = open_as(url_of(email))

    page.get_by_role("link", name="Check status now").click()
    page.get_by_role("button", name="Check status now: 1 email").click()
    page.wait_for_url(f"**{url_of(email)}")

    assert messages(page) == ["Check status now: 1 email: Notify is asked what became of it, within seconds."]
    assert story(page) == ["Created.", "olu had Notify asked about it."]
    assert page.locator(".field-next .readonly").inner_text().startswith("Ask Notify what became of it\noverdue since")
    email.refresh_from_db()
    assert email.status == "notify-sending"


def test_who_may_only_look_is_offered_nothing_sees_nobodys_address_and_is_refused(
    open_as: Open, bounced: EmailMessage, make_email: MakeEmail
) -> None:
    waiting = make_email(Status.FAILED_SEND_TO_NOTIFY)
    before = everything()
    page = open_as(may=(VIEW,))

    assert page.locator("#result_list .field-recipient").all_inner_texts() == ["a•••@e•••.com"] * 2
    assert page.get_by_text("Recipients are shortened and contents are hidden.").is_visible()
    assert page.locator("select[name=action]").count() == 0
    contents = [page.content()]
    for email in (bounced, waiting):
        go_to(page, url_of(email))
        contents.append(page.content())
        assert (
            page.locator(".field-possible .readonly").inner_text() == "Look at it. To do more, you need a permission."
        )
        assert page.locator(".field-personalisation_as_json .readonly").inner_text() == masking.HIDDEN
    for secret in (ADDRESS, "amala", "Amala", SUBJECT, "Traceback (most"):
        assert [secret in content for content in contents] == [False] * 3
    for path in (url_of(waiting, "text"), *(f"{do_url(each)}?emails={waiting.pk}&one=1" for each in Operation)):
        with page.expect_response(f"**{path}") as response:
            go_to(page, path)
        assert response.value.status == 403
        assert ADDRESS not in page.content()
    assert (everything(), pushed()) == (before, [])


def test_what_the_recipient_saw_is_shown_as_notify_has_it(
    open_as: Open, make_email: MakeEmail, sandbox: Sandbox
) -> None:
    email = make_email(personalisation={"name": "<b>Amala</b>"})
    delivery.deliver(email.pk)
    before = everything()
    page = open_as(url_of(email))

    page.get_by_role("link", name="What the recipient saw").click()
    page.get_by_role("heading", name="What the recipient saw").wait_for()
    assert page.locator(".outbox-text").all_inner_texts() == [
        "Hello <b>Amala</b>",
        "Hello <b>Amala</b>,\n\nThis email comes from the sandbox.",
    ]
    assert page.locator(".outbox-text b").count() == 0
    page.get_by_role("link", name="Back to the email").click()
    page.wait_for_url(f"**{url_of(email)}")
    assert everything() == before
    assert len(sandbox.emails()) == 1


def test_the_summary_has_a_chart_and_tables(open_as: Open, bounced: EmailMessage, make_email: MakeEmail) -> None:
    make_email(Status.NOTIFY_DELIVERED)
    before = everything()
    page = open_as()

    page.get_by_role("link", name="Summary").click()
    page.get_by_role("heading", name="Summary of emails").wait_for()
    chart = page.get_by_role("img", name="Emails made in the last day")
    assert chart.locator("text").all_text_contents() == [
        "Delivered: 1 (50%)",
        "Failed at Notify: 1 (50%)",
        "Failed before Notify: 0 (0%)",
        "With Notify: 0 (0%)",
        "Waiting to be sent: 0 (0%)",
    ]
    statuses = page.get_by_role("table", name="Number of emails by status")
    assert statuses.get_by_role("row", name="All").inner_text().split()[2:] == ["2", "2"]
    errors = page.get_by_role("table", name="Errors, the most common first")
    assert errors.get_by_role("row").nth(1).inner_text().split("\t")[:3] == [
        "Attempt to send: Unclear",
        "HTTP 500 Exception",
        "1",
    ]
    assert everything() == before


#: What axe finds in pages of Django's own admin too, which is Django's to mend.
DJANGOS_OWN = (
    # The field for searching has no label that can be seen, but a magnifying glass
    ("label-title-only", "#searchbar"),
    # Not underlined among words that are no links
    ("link-in-text-block", ".breadcrumbs a"),
    ("link-in-text-block", "#changelist-search .quiet a"),
)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LOOKS = [(viewport, scheme) for viewport in (WIDE, NARROW) for scheme in SCHEMES]
PAGES = ("list", "masked list", "email", "confirmation", "text", "text that is not there", "summary")


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_nothing_sticks_out(
    open_as: Open, bounced: EmailMessage, make_email: MakeEmail, sandbox: Sandbox, name: str
) -> None:
    for status in Status:
        make_email(status)
    long = "a.rather.long.address.of.somebody.who.has.one@some.department.example.com"
    failed = make_email(Status.FAILED_SEND_TO_NOTIFY, email_address=long, personalisation={"name": "x" * 80})
    Licence.objects.create(decision=bounced)
    pks = ",".join(str(pk) for pk in EmailMessage.objects.values_list("pk", flat=True))
    path = {
        "email": url_of(bounced),
        "confirmation": f"{do_url(Operation.SEND_AGAIN)}?emails={pks}",
        "text": url_of(failed, "text"),
        "text that is not there": url_of(bounced, "text"),
        "summary": SUMMARY,
    }.get(name, LIST)
    page = open_as(path, may=(VIEW,) if name == "masked list" else EVERYTHING)
    for folded in page.locator(".outbox-folded summary").all():
        folded.click()

    for viewport, scheme in LOOKS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        assert (viewport, scheme, violations(page, but=DJANGOS_OWN)) == (viewport, scheme, [])
        # Django's list scrolls in a box of its own, and so do our tables
        assert (viewport, scheme, sticks_out(page)) == (viewport, scheme, False)
        # No colour goes without words
        assert "" not in page.locator(".outbox-tag, .outbox-event, .outbox-when--overdue").all_inner_texts()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_has_the_focus_can_be_seen_to_have_it(
    open_as: Open, bounced: EmailMessage, make_email: MakeEmail, scheme: str
) -> None:
    failed = make_email(Status.FAILED_SEND_TO_NOTIFY)
    Licence.objects.create(decision=bounced)
    page = open_as(url_of(bounced), color_scheme=scheme)
    for text in ("What the recipient saw", "What Notify answered", Licence.objects.get().__str__()):
        tab_to(page, text)
    go_to(page, f"{do_url(Operation.SEND_AGAIN)}?emails={failed.pk}")
    for text in (str(failed.pk), "Send again: 1 email", "No, go back"):
        tab_to(page, text)
    go_to(page, LIST)
    tab_to(page, "Summary")

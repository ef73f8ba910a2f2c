"""The mailbox: the list, one email, its body by itself, and the buttons."""

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from . import emails, live, pages
from .pages import SeeOther, address, page
from .wording import DECISIONS, tag_for

_LONGEST_FILTER = 320


@page("GET", "HEAD")
def mailbox(request: HttpRequest) -> HttpResponseBase:
    """Show the emails, newest first. With the version that a browser has seen, wait for another one."""
    recipient = request.GET.get("recipient", "").replace("\0", "").strip()[:_LONGEST_FILTER]
    before = request.GET.get("older_than", "")
    older_than = int(before) if before.isdecimal() and len(before) < 19 else None

    def version() -> str:
        return live.version_of(emails.statuses_of(recipient, older_than))

    if "seen" in request.GET and not live.has_news(request, version):
        return HttpResponse(status=204)
    # The version first: what changes between the two is news to the next question
    version_now = version()
    found = emails.page_of(recipient, older_than)
    home = address(request, "mailbox")
    kept = {"recipient": recipient} if recipient else {}
    return pages.render(
        request,
        "mailbox.html",
        count=emails.count(recipient),
        done="The mailbox is empty now." if request.GET.get("done") == "emptied" else None,
        empty_address=address(request, "empty"),
        home=home,
        is_first=older_than is None,
        lines=[(line, address(request, "email", notification_id=line.id)) for line in found.lines],
        newest=f"{home}?{urlencode(kept)}" if kept else home,
        older=f"{home}?{urlencode({**kept, 'older_than': found.older_than})}" if found.older_than else None,
        page_size=emails.PAGE_SIZE,
        recipient=recipient,
        settings=pages.settings_for(request),
        version=version_now,
    )


@page("GET", "HEAD")
def email(request: HttpRequest, notification_id: UUID) -> HttpResponseBase:
    """Show one email with all that is known of it."""

    def version() -> str:
        return live.version_of(emails.status_of(notification_id))

    if "seen" in request.GET and not live.has_news(request, version):
        return HttpResponse(status=204)
    version_now = version()
    row = emails.find(notification_id)
    if row is None:
        return pages.render(request, "gone.html", status=404)
    detail = emails.detail_of(row)
    home = address(request, "mailbox")
    done = request.GET.get("done", "")
    return pages.render(
        request,
        "email.html",
        body_address=address(request, "email_body", notification_id=notification_id),
        decide_address=address(request, "decide", notification_id=notification_id),
        decisions=DECISIONS.items(),
        done=f"The status is now “{tag_for(done).text}”." if done in DECISIONS else None,
        email=detail,
        files=[(name, home.removesuffix("mailbox/") + path, size) for name, path, size in detail.files],
        version=version_now,
    )


@page("GET", "HEAD")
def email_body(request: HttpRequest, notification_id: UUID) -> HttpResponseBase:
    """Show an email's body as its recipient sees it."""
    row = emails.find(notification_id)
    if row is None:
        return pages.render(request, "gone.html", status=404)
    return pages.render_email(emails.html_of(row), subject=row.subject)


@page("POST")
def decide(request: HttpRequest, notification_id: UUID) -> HttpResponseBase:
    """Let an email be delivered, bounce or fail now."""
    row, status = emails.find(notification_id), request.POST.get("status", "")
    if row is None:
        return pages.render(request, "gone.html", status=404)
    if status not in DECISIONS:
        return HttpResponse("There is no such button.", status=400, content_type="text/plain")
    emails.decide(row, status)
    return SeeOther(f"{address(request, 'email', notification_id=notification_id)}?{urlencode({'done': status})}")


@page("POST")
def empty(request: HttpRequest) -> HttpResponseBase:
    """Forget all emails."""
    emails.forget_all()
    return SeeOther(address(request, "mailbox") + "?done=emptied")

"""The summary page of the admin: how sending went over the last hour, day and week, and how the outbox is now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import charts, summary
from django_govuk_notify_outbox.figures import Backlog
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.summary import Error, Period, Summary, Times

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[EmailMessage]
else:
    _Admin = admin.ModelAdmin

_TEMPLATE = "admin/django_govuk_notify_outbox/emailmessage/summary.html"
#: Any moment, to count from.
_START = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_PERIODS = {"hour": _("Last hour"), "day": _("Last day"), "week": _("Last week")}
_CHARTS = {
    "hour": _("Emails made in the last hour"),
    "day": _("Emails made in the last day"),
    "week": _("Emails made in the last week"),
}
_GROUPS = {
    "delivered": (_("Delivered"), "good"),
    "failed-at-notify": (_("Failed at Notify"), "bad"),
    "failed-before-notify": (_("Failed before Notify"), "worrying"),
    "at-notify": (_("With Notify"), "under-way"),
    "to-send": (_("Waiting to be sent"), "waiting"),
}


def summary_view(model_admin: _Admin, request: HttpRequest) -> HttpResponse:
    """The page, for those who may view emails. Nothing on it is personal, and it changes nothing."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    report = summary.report()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": _("Summary of emails"),
        "summary": report,
        "periods": [_period(each) for each in report.periods],
        "statuses": _statuses(report.periods),
        "rates": [_rate(each) for each in report.periods],
        "times": _times(report.periods),
        "errors": [_error(each) for each in report.errors.most_common],
        "now": _now(report),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, _TEMPLATE, context)


def _period(period: Period) -> dict[str, Any]:
    bars = [
        charts.Bar(label=str(label), number=period.of_group(group), mood=mood)
        for group, (label, mood) in _GROUPS.items()
    ]
    return {
        "period": period,
        "label": _PERIODS[period.name],
        "number": charts.grouped(period.number),
        "chart": charts.bar_chart(period.name, title=str(_CHARTS[period.name]), bars=bars),
    }


def _statuses(periods: Sequence[Period]) -> list[dict[str, Any]]:
    """The rows of the table: each group, and below it its statuses if it has several."""
    return [
        {
            "label": label,
            "numbers": [charts.grouped(period.of_group(group)) for period in periods],
            "parts": [
                {"label": status.label, "numbers": [charts.grouped(period.statuses[status]) for period in periods]}
                for status in summary.GROUPS[group]
                if len(summary.GROUPS[group]) > 1
            ],
        }
        for group, (label, _mood) in _GROUPS.items()
    ]


def _rate(period: Period) -> str:
    return charts.percentage(period.delivered, period.ended) if period.ended else "-"


def _times(periods: Sequence[Period]) -> list[dict[str, Any]]:
    def row(label: str, found: Sequence[Times | None], name: str) -> dict[str, Any]:
        return {"label": label, "values": [duration(getattr(times, name)) if times else "-" for times in found]}

    accepted, delivered = [each.to_acceptance for each in periods], [each.to_delivery for each in periods]
    return [
        row(gettext("Half were accepted by Notify within"), accepted, "median"),
        row(gettext("95% were accepted by Notify within"), accepted, "slow"),
        row(gettext("Half were known to be delivered within"), delivered, "median"),
        row(gettext("95% were known to be delivered within"), delivered, "slow"),
    ]


def _error(error: Error) -> dict[str, Any]:
    return {
        "words": _words(error),
        "answer": _answer(error),
        "number": charts.grouped(error.number),
        "newest_at": error.newest_at,
    }


def _words(error: Error) -> str:
    kind = error.kind.label
    return f"{kind}: {error.outcome.label}" if error.outcome else str(kind)


def _answer(error: Error) -> str:
    """What Notify answered, or what was raised if it did not answer."""
    if error.http_status is None:
        return error.exception or "-"
    return f"HTTP {error.http_status} {error.error_type}".rstrip()


def _now(report: Summary) -> list[tuple[str, str]]:
    health = report.health
    return [
        (gettext("Waiting to be sent"), _backlog(health.waiting, gettext("the oldest made %s ago"))),
        (gettext("Overdue to be sent"), _backlog(health.overdue.to_send, gettext("the oldest for %s"))),
        (gettext("Overdue to be looked up"), _backlog(health.overdue.to_look_up, gettext("the oldest for %s"))),
        (gettext("Sync"), _sync(is_running=health.sync.is_running, worked=health.sync.worked)),
        (gettext("Sending"), gettext("held for a few seconds") if health.sending_held else gettext("not held")),
    ]


def _backlog(backlog: Backlog, oldest: str) -> str:
    if backlog.oldest is None:
        return gettext("none")
    more = gettext(" or more") if backlog.is_more else ""
    return f"{charts.grouped(backlog.number)}{more}, {oldest % duration(backlog.oldest)}"


def _sync(*, is_running: bool, worked: float | None) -> str:
    if is_running:
        return gettext("at work")
    return gettext("has never worked") if worked is None else gettext("last worked %s ago") % duration(worked)


def duration(seconds: float) -> str:
    """Seconds in words, as exact as they are of use."""
    if seconds < 0.1:
        return gettext("under 0.1 seconds")
    if seconds < 9.95:
        return gettext("%s seconds") % f"{seconds:.1f}"
    if seconds < 119.5:
        return gettext("%s seconds") % f"{seconds:.0f}"
    return timesince(_START, _START + dt.timedelta(seconds=seconds)).replace("\xa0", " ")

"""What people do to emails in the admin: a page that says what would happen, and then doing it.

Everything is done by ``operations.py``. Here it is asked for, by those who may, and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import operations, wording
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet
from django_govuk_notify_outbox.operations import Operation, Prospect, Result

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

    _Admin = admin.ModelAdmin[EmailMessage]
else:
    _Admin = admin.ModelAdmin

#: Emails to which something is done at a time.
MOST = 1_000
#: Emails that the page of confirmation lists.
MOST_LISTED = 20
# A key of more digits is none
_PK_DIGITS = 19


@dataclass(frozen=True)
class Face:
    """How an operation looks in the admin."""

    #: The permission for it, without the app's label.
    permission: str
    #: On buttons and links.
    name: _StrOrPromise
    #: In the list's choice of actions.
    description: _StrOrPromise


FACES = {
    Operation.SEND_AGAIN: Face("send_emailmessage_again", _("Send again"), _("Send selected emails again")),
    Operation.CHECK: Face("check_emailmessage", _("Check status now"), _("Check status of selected emails now")),
    Operation.STOP: Face("stop_emailmessage", _("Stop trying"), _("Stop trying to send selected emails")),
}


def _action(operation: Operation) -> Callable[[OperationsAdmin, HttpRequest, QuerySet[EmailMessage]], HttpResponse]:
    """The operation as an action of Django's list, where it is known by the operation's value."""

    @admin.action(description=FACES[operation].description, permissions=[operation.value.replace("-", "_")])
    def act(model_admin: OperationsAdmin, request: HttpRequest, queryset: QuerySet[EmailMessage]) -> HttpResponse:
        pks = list(queryset.values_list("pk", flat=True)[: MOST + 1])
        return model_admin.confirmation(request, operation, pks[:MOST], is_cut_short=len(pks) > MOST)

    act.__name__ = operation.value
    return act


class OperationsAdmin(_Admin):
    """The part of the admin that does something. It needs a permission for each thing, besides the one to view."""

    actions = tuple(_action(operation) for operation in Operation)

    def may(self, request: HttpRequest, operation: Operation) -> bool:
        """Whether the person may do this."""
        permission = f"{self.opts.app_label}.{FACES[operation].permission}"
        return self.has_view_permission(request) and request.user.has_perm(permission)

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """Whether the person may send emails again. Django asks by this name."""
        return self.may(request, Operation.SEND_AGAIN)

    def has_check_permission(self, request: HttpRequest) -> bool:
        """Whether the person may have Notify asked."""
        return self.may(request, Operation.CHECK)

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether the person may stop emails."""
        return self.may(request, Operation.STOP)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list. What is chosen there by somebody who may not do it is refused, instead of being ignored."""
        asked_for = set(request.POST.getlist("action"))
        if any(each.value in asked_for and not self.may(request, each) for each in Operation):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def get_urls(self) -> list[URLPattern]:
        """Django's pages, and one for each operation."""
        view = self.admin_site.admin_view(self.operate)
        name = f"{self.opts.app_label}_{self.opts.model_name}_operate"
        return [path("do/<str:operation>/", view, name=name), *super().get_urls()]

    def operations_for(self, request: HttpRequest, email: EmailMessage) -> list[dict[str, Any]]:
        """What the person may do to the email, each with its page, and what would come of it."""
        return [
            {
                "name": FACES[each].name,
                "prospect": operations.prospect(each, email),
                "url": f"{self._url(request, each)}{_joiner(request, self)}emails={email.pk}&one=1",
            }
            for each in Operation
            if self.may(request, each)
        ]

    def operate(self, request: HttpRequest, operation: str) -> HttpResponse:
        """Say what would happen to the emails; if that is confirmed, do it and say what was done."""
        if operation not in set(Operation):
            raise Http404
        wish = Operation(operation)
        if not self.may(request, wish):
            raise PermissionDenied
        is_post = request.method == "POST"
        pks = _pks((request.POST if is_post else request.GET).get("emails", ""))
        if not is_post:
            return self.confirmation(request, wish, pks)
        known = self._seen(request, pks)
        person = request.user.get_username()
        results = operations.perform(wish, [pk for pk in pks if pk in known], person=person)
        results += [Result(pk, is_done=False, text="There is no such email.") for pk in pks if pk not in known]
        self._report(request, wish, results)
        return HttpResponseRedirect(self._way_back(request, pks))

    def confirmation(
        self, request: HttpRequest, operation: Operation, pks: Sequence[int], *, is_cut_short: bool = False
    ) -> HttpResponse:
        """The page that says what would happen to the emails, and changes nothing."""
        emails = self._seen(request, pks)
        prospects = {pk: operations.prospect(operation, emails[pk]) for pk in pks if pk in emails}
        acts = [pk for pk, each in prospects.items() if each.will_act]
        context = {
            **self.admin_site.each_context(request),
            "title": FACES[operation].name,
            "opts": self.opts,
            "media": self.media,
            "operation": FACES[operation].name,
            "listed": [_row(emails[pk], each) for pk, each in list(prospects.items())[:MOST_LISTED]],
            "number": len(prospects),
            "number_to_act": len(acts),
            "number_not_listed": max(len(prospects) - MOST_LISTED, 0),
            "done": _kinds(each.text for each in prospects.values() if each.will_act),
            "skipped": _kinds(each.text for each in prospects.values() if not each.will_act),
            "is_cut_short": is_cut_short,
            "most": MOST,
            "action_url": self._url(request, operation),
            "emails": ",".join(map(str, prospects)),
            "one": "one" in request.GET,
            "way_back": self._way_back(request, pks),
            "list_url": self._list_url(request),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_govuk_notify_outbox/emailmessage/confirmation.html", context)

    def _seen(self, request: HttpRequest, pks: Sequence[int]) -> dict[int, EmailMessage]:
        """Those of the emails that the person may see: a project's own admin may show somebody only some of them."""
        found: dict[int, EmailMessage] = self._rows(request).in_bulk(pks)
        return {pk: email for pk, email in found.items() if self.has_view_permission(request, email)}

    def _rows(self, request: HttpRequest) -> EmailMessageQuerySet:
        rows = self.get_queryset(request)
        assert isinstance(rows, EmailMessageQuerySet)  # noqa: S101  # for the type checker: the model's own
        return rows.without_contents()

    def _report(self, request: HttpRequest, operation: Operation, results: Sequence[Result]) -> None:
        """Log what was done, and tell the person of it and of what was not, and why."""
        done = [result for result in results if result.is_done]
        person: Any = request.user
        now = self._rows(request).in_bulk([result.pk for result in done])
        for text in dict.fromkeys(result.text for result in done):
            emails = [now[result.pk] for result in done if result.text == text and result.pk in now]
            LogEntry.objects.log_actions(
                person.pk,
                emails,
                CHANGE,
                change_message=f"{FACES[operation].name}: {text}",
            )
        for kind in _kinds(result.text for result in done):
            self.message_user(request, f"{FACES[operation].name}: {kind}", messages.SUCCESS)
        for kind in _kinds(result.text for result in results if not result.is_done):
            self.message_user(request, f"{FACES[operation].name}: skipped {kind}", messages.WARNING)
        if not results:
            self.message_user(request, "No emails were given, so nothing was done.", messages.WARNING)

    def _url(self, request: HttpRequest, operation: Operation) -> str:
        """The operation's page, which knows the filters of the list that the person came from."""
        url = self._reverse("operate", operation.value)
        preserved = self.get_preserved_filters(request)
        return f"{url}?{preserved}" if preserved else url

    def _list_url(self, request: HttpRequest) -> str:
        return self._filtered(request, self._reverse("changelist"))

    def _filtered(self, request: HttpRequest, url: str) -> str:
        """The address of one of Django's pages that takes the person back to the list as it was filtered."""
        filters: dict[str, Any] = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return add_preserved_filters(filters, url)

    def _way_back(self, request: HttpRequest, pks: Sequence[int]) -> str:
        """The page of the email from which the person came, or the list, as it was filtered."""
        if len(pks) == 1 and "one" in (request.POST if request.method == "POST" else request.GET):
            return self._filtered(request, self._reverse("change", pks[0]))
        return self._list_url(request)

    def _reverse(self, page: str, *args: object) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def _joiner(request: HttpRequest, model_admin: OperationsAdmin) -> str:
    return "&" if model_admin.get_preserved_filters(request) else "?"


def _pks(text: str) -> list[int]:
    """The numbers in a text that a form gave, as many as can be taken at a time; what is none is left out."""
    words = [word for word in text.split(",", MOST)[:MOST] if word.isascii() and word.isdecimal()]
    return list(dict.fromkeys(int(word) for word in words if len(word) < _PK_DIGITS))


def _row(email: EmailMessage, prospect: Prospect) -> dict[str, Any]:
    return {"email": email, "mood": wording.mood(email.status), "prospect": prospect}


def _kinds(texts: Iterable[str]) -> list[str]:
    """Each text once, with the number of emails that it is about, the most frequent first."""
    counted = Counter(texts).most_common()
    return [f"{number} email{'' if number == 1 else 's'}: {text}" for text, number in counted]

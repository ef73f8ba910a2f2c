"""The page of faults: which ones wait, a form for another one, and how long emails take."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from django_govuk_notify_outbox.sandbox import faults
from django_govuk_notify_outbox.sandbox.models import Fault, SandboxState

from . import live, pages
from .fault_kinds import GROUPS, KINDS, all_waiting
from .pages import SeeOther, address, page

_A_YEAR = 365 * 24 * 3600.0
_NUMBER = "Enter a number"
_FIRST_KIND = f"kind-{next(iter(KINDS))}"  # where a link to the choice leads
_MOST_TIMES = 1_000
_LONGEST = 600


class FaultForm(forms.Form):
    """What is to go wrong."""

    kind = forms.ChoiceField(
        choices=[(kind.name, kind.title) for kind in KINDS.values()],
        error_messages={"required": "Select what goes wrong", "invalid_choice": "Select what goes wrong"},
    )
    accept = forms.BooleanField(required=False)
    seconds = forms.FloatField(
        required=False,
        min_value=0.1,
        max_value=_LONGEST,
        error_messages={
            "invalid": f"{_NUMBER} of seconds",
            "min_value": "Seconds must be 0.1 or more",
            "max_value": f"Seconds must be {_LONGEST} or fewer",
        },
    )
    on = forms.ChoiceField(
        choices=[("POST", "Sending an email"), ("GET", "Looking something up")],
        error_messages={"required": "Select which requests", "invalid_choice": "Select which requests"},
    )
    times = forms.IntegerField(
        min_value=1,
        max_value=_MOST_TIMES,
        error_messages={
            "required": f"{_NUMBER} of requests",
            "invalid": f"{_NUMBER} of requests",
            "min_value": "Requests must be 1 or more",
            "max_value": f"Requests must be {_MOST_TIMES} or fewer",
        },
    )
    email_address = forms.CharField(required=False)

    def clean(self) -> None:
        """Check what depends on the kind."""
        kind = KINDS.get(self.cleaned_data.get("kind", ""))
        if kind is None:
            return
        if kind.takes_seconds and not self.cleaned_data.get("seconds") and "seconds" not in self.errors:
            self.add_error("seconds", f"{_NUMBER} of seconds")
        if self.cleaned_data["accept"] and not kind.may_accept:
            self.add_error("accept", f"“{kind.title}” leaves nothing to choose here: clear the box")

    def save(self) -> None:
        """Let it happen."""
        data = self.cleaned_data
        kind = KINDS[data["kind"]]
        values: dict[str, Any] = {
            "on": data["on"],
            "times": data["times"],
            "email_address": data["email_address"] or None,
            "accept": data["accept"],
        }
        if kind.goes_on:
            values = {}
        faults.Rule(**(values | kind.rule(data["seconds"] or 0.0))).save()


class TimingForm(forms.Form):
    """How long emails take from now on."""

    sending_after = forms.FloatField(
        min_value=0,
        max_value=_A_YEAR,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), f"{_NUMBER} of seconds"),
    )
    final_after = forms.FloatField(
        min_value=0,
        max_value=_A_YEAR,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), f"{_NUMBER} of seconds"),
    )


@page("GET", "HEAD", "POST")
def fault_page(request: HttpRequest) -> HttpResponseBase:
    """Show the faults that wait and take an order for another."""
    if request.method == "POST":
        form = FaultForm(request.POST)
        if not form.is_valid():
            return _show(request, form=form, status=400)
        form.save()
        return SeeOther(address(request, "fault_page") + "?done=added")
    if "seen" in request.GET and not live.has_news(request, _version):
        return HttpResponse(status=204)
    return _show(request)


@page("POST")
def remove_faults(request: HttpRequest) -> HttpResponseBase:
    """Take one fault back, or all of them."""
    number = request.POST.get("fault", "")
    if number.isdecimal():
        Fault.objects.filter(pk=int(number)).delete()
    else:
        faults.clear()
    return SeeOther(address(request, "fault_page") + "?done=cleared")


@page("POST")
def change_timing(request: HttpRequest) -> HttpResponseBase:
    """Set how long emails take, or hold them until somebody decides."""
    if "hold" in request.POST:
        SandboxState.change(final_after=_A_YEAR)
        return SeeOther(address(request, "fault_page") + "?done=held")
    form = TimingForm(request.POST)
    if not form.is_valid():
        return _show(request, timing=form, status=400)
    SandboxState.change(**form.cleaned_data)
    return SeeOther(address(request, "fault_page") + "?done=timed")


_DONE = {
    "added": "The fault waits for the next request that it is meant for.",
    "cleared": "Nothing of that will go wrong any more.",
    "held": "New emails stay at “Sending” until you decide about them.",
    "timed": "New emails take that long.",
}


def _version() -> str:
    return live.version_of(*((one.number, one.left) for one in all_waiting()))


def _show(
    request: HttpRequest, *, form: FaultForm | None = None, timing: TimingForm | None = None, status: int = 200
) -> HttpResponse:
    state = SandboxState.load()
    form = form or FaultForm(initial={"on": "POST", "times": 1})
    is_holding = state.final_after >= _A_YEAR
    timing = timing or TimingForm(
        initial={
            "sending_after": f"{state.sending_after:g}",
            "final_after": "2" if is_holding else f"{state.final_after:g}",
        }
    )
    errors = [(name, messages[0]) for one in (form, timing) for name, messages in one.errors.items()]
    return pages.render(
        request,
        "faults.html",
        status=status,
        done=_DONE.get(request.GET.get("done", "")),
        errors=[(_FIRST_KIND if name == "kind" else name, message) for name, message in errors],
        groups=GROUPS,
        form=form,
        timing=timing,
        is_holding=is_holding,
        remove_address=address(request, "remove_faults"),
        timing_address=address(request, "change_timing"),
        version=_version(),
        waiting=all_waiting(),
    )

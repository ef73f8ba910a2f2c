"""Pages: a form, an appointment with the progress of its emails, and the list of all bookings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from appointments import booking
from appointments.forms import BookingForm
from appointments.models import Appointment
from appointments.wording import WORDS

BOOKINGS_SHOWN = 50

#: What the sandbox, and mostly Notify too, make of an address.
ADDRESSES_TO_TRY = (
    ("amala@example.com", "arrives, as every ordinary address does"),
    ("perm-fail@simulator.notify", "bounces: no such mailbox"),
    ("temp-fail@simulator.notify", "bounces: the mailbox is full"),
    ("technical-fail@simulator.notify", "fails between Notify and its email provider"),
    ("amala@localhost", "is refused by Notify, which does not take it for an email address"),
    (
        "simulate-delivered@notifications.service.gov.uk",
        "is accepted and never heard of again: Notify’s own address for smoke tests",
    ),
)


@require_http_methods(["GET", "HEAD", "POST"])
def book(request: HttpRequest) -> HttpResponse:
    """The form; sent in right, it books the appointment and shows it."""
    form = BookingForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect(booking.book(**form.cleaned_data))
    return render(request, "appointments/book.html", {"form": form, "addresses": ADDRESSES_TO_TRY})


@require_GET
def appointment(request: HttpRequest, reference: str) -> HttpResponse:
    """One appointment, and where its emails stand."""
    return render(request, "appointments/appointment.html", _context(reference))


@require_GET
def progress(request: HttpRequest, reference: str) -> HttpResponse:
    """The parts of an appointment's page that change by themselves, for its script."""
    context = _context(reference)
    latest = context["emails"][-1] if context["emails"] else None
    response = JsonResponse(
        {
            "emails": render_to_string("appointments/_emails.html", context, request),
            "history": render_to_string("appointments/_history.html", context, request),
            "announcement": f"{latest[0]}: {' – '.join(WORDS[latest[1].status][::2])}" if latest else "",
            "final": all(email.is_final for _title, email in context["emails"]),
        }
    )
    add_never_cache_headers(response)
    return response


@require_POST
def remind(request: HttpRequest, reference: str) -> HttpResponse:
    """Send a reminder, and back to the appointment."""
    appointment = get_object_or_404(Appointment, reference=reference)
    booking.remind(appointment)
    messages.success(request, "Reminder requested")
    return redirect(appointment)


@require_GET
def bookings(request: HttpRequest) -> HttpResponse:
    """The latest bookings, each with the status of its emails."""
    appointments = Appointment.objects.select_related("confirmation").prefetch_related("reminders")
    return render(request, "appointments/bookings.html", {"appointments": appointments[:BOOKINGS_SHOWN]})


def _context(reference: str) -> dict[str, Any]:
    appointment = get_object_or_404(Appointment.objects.select_related("confirmation"), reference=reference)
    reminders = appointment.reminders.order_by("pk").prefetch_related("events")
    emails = [(f"Reminder {number}", email) for number, email in enumerate(reminders, start=1)]
    if appointment.confirmation is not None:
        emails.insert(0, ("Confirmation", appointment.confirmation))
    return {"appointment": appointment, "emails": emails}

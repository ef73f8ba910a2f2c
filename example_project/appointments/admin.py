"""Appointments in the admin, with links to the emails that were sent about them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from appointments.models import Appointment
from django_govuk_notify_outbox.models import EmailMessage


@admin.register(Appointment)
class AppointmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django has no such class at run time
    """Appointments. Their emails open in the outbox's own pages."""

    list_display = ("reference", "name", "place", "date", "time", "confirmation_email")
    list_filter = ("place", "date")
    search_fields = ("reference", "name", "email_address")
    list_select_related = ("confirmation",)
    readonly_fields = ("reference", "confirmation_email", "reminder_emails", "created_at")

    @admin.display(description="confirmation")
    def confirmation_email(self, appointment: Appointment) -> str:
        """The confirmation's status, leading to its page."""
        return _link(appointment.confirmation) if appointment.confirmation else "none"

    @admin.display(description="reminders")
    def reminder_emails(self, appointment: Appointment) -> str:
        """The status of each reminder, leading to its page."""
        reminders = appointment.reminders.order_by("pk")
        return format_html_join(", ", "{}", ((_link(email),) for email in reminders)) or "none"


def _link(email: EmailMessage) -> SafeString:
    url = reverse("admin:django_govuk_notify_outbox_emailmessage_change", args=[email.pk])
    return format_html('<a href="{}">{}</a>', url, email.get_status_display())

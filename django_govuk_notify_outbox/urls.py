"""Addresses to include in a project's own, for what GOV.UK Notify posts to us."""

from django.urls import path

from django_govuk_notify_outbox import views

app_name = "django_govuk_notify_outbox"
urlpatterns = [
    path("receipts/", views.receive, name="receipts"),
    # Without it APPEND_SLASH would redirect, and lose the receipt
    path("receipts", views.receive),
]

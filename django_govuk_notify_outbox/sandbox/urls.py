"""Addresses. Include them at the root: Notify's clients begin their paths at the host."""

from django.urls import path, re_path

from . import control_views, views

app_name = "govuk_notify_sandbox"

urlpatterns = [
    path("v2/notifications", views.notifications, name="notifications"),
    path("v2/notifications/<str:name>", views.notification, name="notification"),
    path("v2/notifications/<str:name>/pdf", views.pdf, name="pdf"),
    re_path(r"^v2/", views.not_found, name="not_found"),
    path("sandbox/reset", control_views.reset, name="reset"),
    path("sandbox/clock", control_views.set_clock, name="set_clock"),
    path("sandbox/timing", control_views.set_timing, name="set_timing"),
    path("sandbox/faults", control_views.add_fault, name="add_fault"),
    path("sandbox/emails", control_views.emails, name="emails"),
    path("sandbox/emails/<uuid:notification_id>/status", control_views.set_status, name="set_status"),
    path("sandbox/requests", control_views.requests, name="requests"),
]

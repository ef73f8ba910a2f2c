"""Addresses. Include them at the root, after your own: Notify's clients begin their paths at the host."""

from django.urls import path, re_path

from . import control_views, views
from .mailbox.urls import patterns as mailbox_patterns

app_name = "govuk_notify_sandbox"

urlpatterns = [
    path("v2/notifications", views.notifications, name="notifications"),
    path("v2/notifications/<str:name>", views.notification, name="notification"),
    path("v2/notifications/<str:name>/pdf", views.pdf, name="pdf"),
    path("v2/template/<str:template_id>", views.template, name="template"),
    path("v2/template/<str:template_id>/version/<int:version>", views.template, name="template_version"),
    path("v2/template/<str:template_id>/preview", views.preview, name="preview"),
    path("v2/templates", views.all_templates, name="templates"),
    path("v2/received-text-messages", views.received_texts, name="received_texts"),
    path("d/<str:service>/<str:document>", views.document, name="document"),
    re_path(r"^v2/", views.not_found, name="not_found"),
    path("sandbox/reset", control_views.reset, name="reset"),
    path("sandbox/clock", control_views.set_clock, name="set_clock"),
    path("sandbox/timing", control_views.set_timing, name="set_timing"),
    path("sandbox/limits", control_views.set_limits, name="set_limits"),
    path("sandbox/callback", control_views.set_callback, name="set_callback"),
    path("sandbox/receipts", control_views.all_receipts, name="receipts"),
    path("sandbox/receipts/post", control_views.post_receipts, name="post_receipts"),
    path("sandbox/faults", control_views.add_fault, name="add_fault"),
    path("sandbox/faults/clear", control_views.clear_faults, name="clear_faults"),
    path("sandbox/faults/waiting", control_views.all_faults, name="faults"),
    path("sandbox/emails", control_views.emails, name="emails"),
    path("sandbox/emails/add", control_views.add_emails, name="add_emails"),
    path("sandbox/emails/<uuid:notification_id>/status", control_views.set_status, name="set_status"),
    path("sandbox/requests", control_views.requests, name="requests"),
    *mailbox_patterns,
]

# Of the sandbox on its own. A project that includes these addresses has its own page for what it doesn't have.
handler404 = views.page_not_found

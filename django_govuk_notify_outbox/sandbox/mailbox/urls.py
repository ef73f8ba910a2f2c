"""The pages' addresses. The mailbox has two, because a project's own home page may stand where the sandbox's would."""

from django.urls import path

from . import fault_views, pages, views

patterns = [
    path("", views.mailbox, name="home"),
    path("mailbox/", views.mailbox, name="mailbox"),
    path("mailbox/empty", views.empty, name="empty"),
    path("mailbox/faults/", fault_views.fault_page, name="fault_page"),
    path("mailbox/faults/remove", fault_views.remove_faults, name="remove_faults"),
    path("mailbox/timing", fault_views.change_timing, name="change_timing"),
    path("mailbox/assets/<str:name>", pages.asset, name="asset"),
    path("mailbox/<uuid:notification_id>/", views.email, name="email"),
    path("mailbox/<uuid:notification_id>/body", views.email_body, name="email_body"),
    path("mailbox/<uuid:notification_id>/status", views.decide, name="decide"),
]

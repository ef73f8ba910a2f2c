"""Addresses of the example project."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("appointments.urls")),
]

# Notify posts its delivery receipts to /notify/receipts/. In your project, leave out the question
if settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS:
    urlpatterns += [path("notify/", include("django_govuk_notify_outbox.urls"))]

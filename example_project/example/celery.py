"""The Celery app: ``celery -A example worker`` and ``celery -A example beat`` start here."""

import os

from celery import Celery

from example import folder_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")

folder_broker.register()  # only for the example's own broker: leave it out when you copy this file

app = Celery("example")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

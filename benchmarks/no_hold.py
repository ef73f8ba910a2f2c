"""Takes the hold on sending away from a Celery worker that includes this module: to see what it is good for."""

from __future__ import annotations

import django

# Celery may import what it is to include before it sets Django up
django.setup()

from django_govuk_notify_outbox import holds  # noqa: E402  models can be imported from here on

holds.SENDING_HOLD = 0.0

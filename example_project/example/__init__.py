"""The example's settings and plumbing. The service itself is in ``appointments``."""

# Loads the Celery app with Django, so that the web processes use its broker
from example.celery import app as celery_app

__all__ = ["celery_app"]

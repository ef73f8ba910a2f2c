"""A project that uses the library, and the tests of it. As in any project, Celery's app is made when it is imported."""

from tests.celery_app import app as celery_app

__all__ = ["celery_app"]

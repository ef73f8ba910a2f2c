"""The admin's pages in a theme, for test_admin_themes.py: python -m tests.themed unfold.

A process of its own, since a theme changes Django's admin for everybody. It prints the pages' HTML, as JSON.
"""

from __future__ import annotations

import json
import os
import sys

import django


def main(theme: str) -> None:
    """Make an email, look at every page, and print what came."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    from django.conf import settings

    settings.INSTALLED_APPS = [*([theme] if theme != "django" else []), *settings.INSTALLED_APPS]
    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    django.setup()

    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from django_govuk_notify_outbox import admin_paging
    from django_govuk_notify_outbox.models import EmailMessageEvent
    from django_govuk_notify_outbox.operations import Operation
    from django_govuk_notify_outbox.utils import send_email_notification
    from tests.desk import LIST, choose, do_url, html_of, url_of

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(User.objects.create_superuser("olu"))
    emails = [send_email_notification("amala@example.com", "a-template", {"name": "Amala"}) for _ in range(3)]
    EmailMessageEvent.objects.create(
        email_message=emails[0],
        kind="attempt",
        source="sending",
        outcome="unclear",
        attempt=1,
        previous_status="sending-to-notify",
        status="retrying-send-to-notify",
        http_status=500,
        message="Internal server error",
        exception="some.Error",
        traceback="Traceback of a theme",
    )
    pages = {
        "list": html_of(client, LIST),
        "search": html_of(client, LIST, q="amala@example.com"),
        "detail": html_of(client, url_of(emails[0])),
        "confirmation": html_of(client, do_url(Operation.STOP), emails=str(emails[0].pk), one="1"),
        "confirmation of many": choose(client, Operation.STOP, *emails).content.decode(),
        "text": html_of(client, url_of(emails[0], "text")),
    }
    admin_paging.MOST = 2
    pages["long list"] = html_of(client, LIST)
    data = {"emails": ",".join(str(email.pk) for email in emails)}
    pages["done"] = client.post(do_url(Operation.STOP), data, follow=True).content.decode()
    print(json.dumps(pages))  # noqa: T201  # its answer


if __name__ == "__main__":
    main(sys.argv[1])

"""The page of an email leads back to what of the user's it is about, and on to Notify's own website."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from django_govuk_notify_outbox import conf, linked
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from django_govuk_notify_outbox.statuses import Status
from tests.conftest import MakeEmail
from tests.desk import VIEW, html_of, logged_in, page, url_of
from tests.linking.models import Appeal, Licence, Mailing, Part

pytestmark = pytest.mark.django_db

SERVICE = str(uuid.UUID(int=5))
KEY = f"a name-{SERVICE}-{uuid.UUID(int=6)}"


def belongs_to(client: Client, email: EmailMessage) -> str:
    """What the page says after "Belongs to"."""
    match = re.search(r"Belongs to: (.*?) What was asked for", page(client, email))
    assert match
    return match[1]


def test_every_kind_of_link_is_found_and_nothing_of_ours_or_djangos() -> None:
    found = {(link.model.__name__, link.field, link.label) for link in linked.links()}
    assert found == {
        ("Licence", "decision", "decision"),
        ("Licence", "reminders", "reminders"),
        ("Appeal", "answer", "answer"),
        ("Appeal", "copy", "copy to the court"),
        ("Mailing", "emails", "emails"),
        ("Part", "email", "email"),
    }


def test_the_page_leads_to_the_objects_that_point_at_the_email(admin_client: Client, make_email: MakeEmail) -> None:
    email, other = make_email(), make_email()
    assert belongs_to(admin_client, email) == "-"
    licence = Licence.objects.create(decision=email)
    reminded = Licence.objects.create(decision=other)
    reminded.reminders.add(email)
    appeal = Appeal.objects.create(name="Appeal <1>", answer=email, copy=other)
    assert belongs_to(admin_client, email) == (
        f"Appeal: Appeal &lt;1&gt; (answer) Licence: Licence {licence.pk} (decision) "
        f"Licence: Licence {reminded.pk} (reminders)"
    )
    html = html_of(admin_client, url_of(email))
    assert f'<a href="{reverse("admin:linking_licence_change", args=[licence.pk])}">Licence {licence.pk}</a>' in html
    assert f'<a href="{reverse("admin:linking_appeal_change", args=[appeal.pk])}">' in html
    assert belongs_to(admin_client, other) == (
        f"Appeal: Appeal &lt;1&gt; (copy to the court) Licence: Licence {reminded.pk} (decision)"
    )


def test_an_object_that_points_at_an_email_twice_is_listed_once_and_one_without_a_page_has_no_link(
    admin_client: Client, make_email: MakeEmail
) -> None:
    email = make_email()
    mailing = Mailing.objects.create()
    for _ in range(2):
        Part.objects.create(mailing=mailing, email=email)
    # The model between is not in the admin
    assert belongs_to(admin_client, email) == f"Mailing: Mailing {mailing.pk} (emails)"
    assert f"Mailing {mailing.pk}</a>" not in html_of(admin_client, url_of(email))


def test_only_what_the_person_may_see_is_listed(make_email: MakeEmail) -> None:
    email = make_email()
    licence = Licence.objects.create(decision=email)
    for name in ("Secret appeal", "Other's appeal", "Open appeal"):
        Appeal.objects.create(name=name, copy=email)
    assert belongs_to(logged_in(VIEW, name="a"), email) == "-"
    assert belongs_to(logged_in(VIEW, "view_appeal", name="b"), email) == "Appeal: Open appeal (copy to the court)"
    assert belongs_to(logged_in(VIEW, "view_licence", name="c"), email) == f"Licence: Licence {licence.pk} (decision)"
    for client in (logged_in(VIEW, name="d"), logged_in(VIEW, "view_appeal", name="e")):
        html = html_of(client, url_of(email))
        assert ("Secret" in html, "Other" in html) == (False, False)


def test_ten_of_each_are_listed_and_that_there_are_more(admin_client: Client, make_email: MakeEmail) -> None:
    email = make_email()
    for _ in range(10):
        Licence.objects.create(decision=email)
    assert "more" not in belongs_to(admin_client, email)
    Licence.objects.create(decision=email)
    told = belongs_to(admin_client, email)
    assert told.count("Licence: Licence") == 10
    assert told.endswith("Licence: and more (decision)")


# --- Notify's website --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "base_url", "service"),
    [
        (KEY, None, SERVICE),
        (KEY, "https://api.notifications.service.gov.uk/", SERVICE),
        (KEY.removeprefix("a name-"), None, SERVICE),
        (KEY, "http://127.0.0.1:9", None),
        (KEY, 7, None),
        ("", None, None),
        (None, None, None),
        (7, None, None),
        (KEY + " ", None, None),
    ],
)
def test_the_service_is_known_from_a_key_for_notify_itself(
    settings: Settings, key: object, base_url: object, service: str | None
) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = key
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = base_url
    assert conf.service_id() == service


def test_the_page_links_to_the_email_in_notifys_website(
    admin_client: Client, make_email: MakeEmail, settings: Settings
) -> None:
    there, not_there = make_email(Status.NOTIFY_DELIVERED), make_email()
    assert "At Notify: -" in page(admin_client, there)
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = KEY
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = None
    url = f"https://www.notifications.service.gov.uk/services/{SERVICE}/notification/{there.notify_id}"
    html = html_of(admin_client, url_of(there))
    assert f'<a href="{url}">See it on GOV.UK Notify</a>' in html
    assert KEY not in html
    assert "At Notify: -" in page(admin_client, not_there)


def test_the_sandboxs_key_tells_no_service(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = defaults.API_KEY
    assert conf.service_id() is None

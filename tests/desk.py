"""What the tests of the admin share: people with permissions, pages, and what is read on them."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.operations import Operation

NAME = "admin:django_govuk_notify_outbox_emailmessage_"
LIST = reverse(NAME + "changelist")

VIEW = "view_emailmessage"
CONTENTS = "view_emailmessage_contents"
PERMISSIONS = {
    Operation.SEND_AGAIN: "send_emailmessage_again",
    Operation.CHECK: "check_emailmessage",
    Operation.STOP: "stop_emailmessage",
}


def logged_in(*permissions: str, name: str = "sam", **kwargs: Any) -> Client:
    """The browser of somebody of the staff, who has these permissions and no others."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client(**kwargs)
    client.force_login(user)
    return client


def url_of(email: EmailMessage, page: str = "change") -> str:
    return reverse(NAME + page, args=[email.pk])


def html_of(client: Client, url: str, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def text_of(html: str) -> str:
    """What a person reads: no tags, single spaces."""
    html = re.sub(r"<(script|style|pre).*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def page(client: Client, email: EmailMessage) -> str:
    return text_of(html_of(client, url_of(email)))


def listed(client: Client, **query: Any) -> list[int]:
    """The numbers of the emails that the list shows."""
    response = client.get(LIST, query)
    assert response.status_code == 200
    return [email.pk for email in response.context["cl"].result_list]


def choose(
    client: Client, operation: Operation, *emails: EmailMessage, everything: bool = False, query: str = ""
) -> Any:
    """Choose an action for these emails of the list."""
    data: dict[str, Any] = {"action": operation.value, "_selected_action": [email.pk for email in emails], "index": 0}
    if everything:
        data["select_across"] = "1"
    return client.post(LIST + query, data)


def do_url(operation: Operation) -> str:
    return reverse(NAME + "operate", args=[operation.value])


def messages_of(response: Any) -> list[str]:
    """What the next page says was done."""
    return [str(message) for message in response.context["messages"]]

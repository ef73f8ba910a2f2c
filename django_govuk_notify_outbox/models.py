"""The emails, what happened to each, and who may act now."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from typing import Any

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox.fields import JSONTextField
from django_govuk_notify_outbox.states import ByState
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, TO_TRACK, Status

#: Longer than any address that Notify accepts (320 characters), to leave room for the white space that it strips.
MAX_ADDRESS_LENGTH = 400
#: Notify accepts references of up to 1,000 characters.
MAX_REFERENCE_LENGTH = 1000
MAX_ID_LENGTH = 255
MAX_SUBJECT_LENGTH = 255
#: Far beyond any address of a page, and far below what a database takes in one statement.
MAX_URL_LENGTH = 100_000

_OWN_REFERENCE = re.compile(r"outbox-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What Notify strips from the ends of an address: white space of any kind, and characters of no width
_STRIPPED = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u180e\u200b\u200c\u200d\u2060\ufeff"


def normalise_address(email_address: str) -> str:
    """The form in which two addresses that Notify takes for the same are equal.

    Notify strips white space and invisible characters around an address and compares without regard to case.
    """
    return email_address.strip(_STRIPPED).lower()


def digest(text: str) -> str:
    """A short stand-in for a text, of fixed length, that every database can index and compares exactly.

    MariaDB compares texts themselves without regard to case and accents, and cannot index long ones.
    """
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


#: The digests of the addresses that Notify accepts emails to and never stores them: they simulate a delivery.
SIMULATED = frozenset(digest(f"simulate-delivered{number}@notifications.service.gov.uk") for number in ("", "-2", "-3"))


def new_reference() -> str:
    """A reference that no other email has."""
    return f"outbox-{uuid.uuid4()}"


def is_own_reference(reference: str) -> bool:
    """Whether a reference was made by ``new_reference``, so that it stands for one email."""
    return _OWN_REFERENCE.fullmatch(reference) is not None


def write_database() -> str:
    """The alias of the database that emails are written to."""
    return router.db_for_write(EmailMessage)


class EmailMessageQuerySet(ByState["EmailMessage"]):
    """Emails, by the questions that the library and its users ask."""

    def due(self, now: dt.datetime) -> EmailMessageQuerySet:
        """Those that need attention now, the longest waiting first."""
        return self.filter(due_at__lte=now).order_by("due_at", "pk")

    def to_send(self) -> EmailMessageQuerySet:
        """Those that Notify has not accepted, as far as we know, and that may still be sent."""
        return self.filter(status__in=sorted(TO_SEND))

    def to_track(self) -> EmailMessageQuerySet:
        """Those that Notify has accepted and whose fate is open."""
        return self.filter(status__in=sorted(TO_TRACK))

    def without_contents(self) -> EmailMessageQuerySet:
        """The same, without what the emails say until it is asked for: it may be megabytes each."""
        return self.defer("personalisation", "sanitise_content_for", "one_click_unsubscribe_url")

    def with_address(self, email_address: str) -> EmailMessageQuerySet:
        """Those to this address, whatever its case and the white space around it."""
        return self.filter(address_digest=digest(normalise_address(email_address)))

    def with_reference(self, reference: str) -> EmailMessageQuerySet:
        """Those with exactly this reference."""
        return self.filter(reference_digest=digest(reference))


class EmailMessage(models.Model):
    """One email, from the call that asked for it to its fate.

    Link to it from your own models with a ForeignKey or ManyToManyField. Read ``status``; never write it, and never
    ``save()`` an instance that may be old: every change is made by ``transitions.py`` and ``reports.py``.
    """

    Status = Status

    # What the caller asked for, as given. Blank means "not given"
    email_address = models.CharField(_("recipient"), max_length=MAX_ADDRESS_LENGTH)
    address_digest = models.CharField(max_length=32, editable=False)
    template_id = models.CharField(_("template"), max_length=MAX_ID_LENGTH)
    personalisation: models.Field[Any, Any] = JSONTextField(_("personalisation"), blank=True)
    reference = models.CharField(_("reference"), max_length=MAX_REFERENCE_LENGTH)
    reference_digest = models.CharField(max_length=32, editable=False)
    email_reply_to_id = models.CharField(_("reply-to address id"), max_length=MAX_ID_LENGTH, blank=True)
    one_click_unsubscribe_url = models.TextField(_("one-click unsubscribe URL"), blank=True)
    sanitise_content_for: models.Field[Any, Any] = JSONTextField(_("sanitise content for"), blank=True)

    status = models.CharField(
        _("status"), max_length=32, choices=Status.choices, default=Status.SENDING_TO_NOTIFY, editable=False
    )
    notify_id = models.UUIDField(_("Notify id"), null=True, unique=True, editable=False)
    # As Notify filled it in: blank until Notify has the email
    subject = models.CharField(_("subject"), max_length=MAX_SUBJECT_LENGTH, blank=True, editable=False)

    # See Note [One column says what is due] in claims.py
    due_at = models.DateTimeField(_("due"), null=True, editable=False)

    # Attempts to send that count: one that met the rate limit is given back
    attempts = models.PositiveIntegerField(_("attempts"), default=0, editable=False)
    attempt_started_at = models.DateTimeField(_("last attempt began"), null=True, editable=False)
    # Set while the last attempt has no outcome that can be trusted. See Note [Ask before sending again] in delivery.py
    unclear_until = models.DateTimeField(_("unclear until"), null=True, editable=False)

    # Somebody said that it is not to be sent: no attempt begins
    is_stopped = models.BooleanField(_("stopped"), default=False, editable=False)

    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    # When its time to be sent began: when it was made, or when somebody had it sent again
    requested_at = models.DateTimeField(_("asked for"), default=timezone.now, editable=False)
    sent_at = models.DateTimeField(_("accepted by Notify"), null=True, editable=False)
    status_changed_at = models.DateTimeField(_("status changed"), default=timezone.now, editable=False)

    objects = EmailMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("email")
        verbose_name_plural = _("emails")
        permissions = (
            ("view_emailmessage_contents", _("Can see recipients and contents of emails")),
            ("send_emailmessage_again", _("Can send emails again")),
            ("check_emailmessage", _("Can have Notify asked about emails")),
            ("stop_emailmessage", _("Can stop emails from being sent")),
        )
        indexes = (
            models.Index(fields=["due_at", "status"], name="govuk_outbox_due"),
            models.Index(fields=["address_digest"], name="govuk_outbox_address"),
            models.Index(fields=["reference_digest"], name="govuk_outbox_reference"),
            models.Index(fields=["status", "created_at"], name="govuk_outbox_status"),
            models.Index(fields=["template_id", "created_at"], name="govuk_outbox_template"),
            models.Index(fields=["created_at"], name="govuk_outbox_created"),
            # For what was sent right after an email: see tracking.py
            models.Index(fields=["sent_at"], name="govuk_outbox_sent"),
        )

    def __str__(self) -> str:
        # Nothing personal: this ends up in logs and page titles
        return f"Email {self.pk} ({self.status})"

    def payload(self) -> dict[str, Any]:
        """The body to post to Notify: what its Python client makes of the same arguments, and the row's reference."""
        body: dict[str, Any] = {"email_address": self.email_address, "template_id": self.template_id}
        for name in (
            "personalisation",
            "reference",
            "email_reply_to_id",
            "one_click_unsubscribe_url",
            "sanitise_content_for",
        ):
            value = getattr(self, name)
            if value:
                body[name] = value
        return body

    @property
    def is_final(self) -> bool:
        """Whether the email's fate is known: Notify delivered it, could not deliver it, or never got it."""
        return self.status in FINAL


class EmailMessageEvent(models.Model):
    """Something that happened to an email. Written once, in the transaction of the change that it tells of."""

    class Kind(models.TextChoices):
        """What took place."""

        #: It was posted to Notify; the outcome says what came of it.
        ATTEMPT = "attempt", _("Attempt to send")
        #: An earlier attempt had no clear answer, and Notify was asked about it.
        QUESTION = "question", _("Question about an unclear attempt")
        #: Notify reported a status.
        REPORT = "report", _("Report from Notify")
        #: Its time ran out, and it is no longer sent.
        ABANDONED = "abandoned", _("Abandoned")
        #: Somebody had it sent again, or tried at once.
        SENT_AGAIN = "sent-again", _("Sent again")
        #: Somebody had Notify asked about it.
        CHECKED = "checked", _("Checked")
        #: Somebody stopped it, or for that reason it is no longer sent.
        STOPPED = "stopped", _("Stopped")

    class Outcome(models.TextChoices):
        """What came of an attempt or a question."""

        #: Notify answered with an id.
        ACCEPTED = "accepted", _("Accepted")
        #: Notify accepted it, though it already had it from another attempt. The recipient may get it twice.
        ACCEPTED_AGAIN = "accepted-again", _("Accepted again")
        #: Notify said that this email cannot be sent.
        REFUSED = "refused", _("Refused")
        #: It certainly did not reach Notify's queue.
        TRY_LATER = "try-later", _("Not accepted, to be tried later")
        #: The rate limit or daily limit was met; the attempt does not count.
        LIMITED = "limited", _("Limited")
        #: Notify may have accepted it.
        UNCLEAR = "unclear", _("Unclear")
        #: Asked, or by itself in a receipt, Notify says that it has it. It was not sent again.
        FOUND = "found", _("Found at Notify")
        #: Asked, Notify does not have it.
        NOT_FOUND = "not-found", _("Not at Notify")
        #: Asked, Notify does not have it yet, and it is too early to believe that.
        NOT_FOUND_YET = "not-found-yet", _("Not at Notify yet")
        #: Asked, Notify did not answer.
        NO_ANSWER = "no-answer", _("No answer")

    class Source(models.TextChoices):
        """How the library came to know."""

        #: From the answer to its own request to send.
        SENDING = "sending", _("Sending")
        #: From asking Notify about this one email.
        LOOK_UP = "look-up", _("Look-up")
        #: From a page of Notify's list of emails.
        PAGE = "page", _("Page of the list")
        #: From a delivery receipt, which Notify posts to us.
        RECEIPT = "receipt", _("Delivery receipt")
        #: From its own clock.
        CLOCK = "clock", _("Clock")
        #: From a person, who is named in ``person``.
        PERSON = "person", _("Person")

    email_message = models.ForeignKey(
        EmailMessage, on_delete=models.CASCADE, related_name="events", verbose_name=_("email")
    )
    created_at = models.DateTimeField(_("time"), default=timezone.now)
    kind = models.CharField(_("what"), max_length=16, choices=Kind.choices)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, blank=True)
    previous_status = models.CharField(_("status before"), max_length=32, choices=Status.choices)
    status = models.CharField(_("status after"), max_length=32, choices=Status.choices)
    attempt = models.PositiveIntegerField(_("attempt"), null=True)
    source = models.CharField(_("learnt from"), max_length=16, choices=Source.choices)
    # Notify's own word for the status, kept even where the library does not know it
    notify_status = models.CharField(_("Notify's status"), max_length=255, blank=True)
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    error_type = models.CharField(_("error type"), max_length=255, blank=True)
    message = models.TextField(_("message"), blank=True)
    exception = models.CharField(_("exception"), max_length=255, blank=True)
    traceback = models.TextField(_("traceback"), blank=True)
    # What Notify knew the email as until a person had it sent again: nobody's any more
    former_notify_id = models.UUIDField(_("former Notify id"), null=True)
    # Who did it, by the name they log in with
    person = models.CharField(_("person"), max_length=MAX_ID_LENGTH, blank=True)
    # Seconds that the HTTP call took
    duration = models.FloatField(_("duration"), null=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"Email {self.email_message_id}: {self.kind} {self.outcome or self.status}"


class Hold(models.Model):
    """Something that is not to be done, by anybody, until a moment. See ``holds.py``."""

    name = models.CharField(max_length=32, primary_key=True)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} held until {self.until:%Y-%m-%d %H:%M:%S}"


def email_rows() -> EmailMessageQuerySet:
    """All emails, in the database that they are written to: what is read to decide on a write comes from there."""
    return EmailMessage.objects.using(write_database())

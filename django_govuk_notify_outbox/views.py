"""The page to which GOV.UK Notify posts delivery receipts. What an answer means: see the note in receipts.py."""

from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from django_govuk_notify_outbox import conf, receipts

logger = logging.getLogger(__name__)


@csrf_exempt
@login_not_required
def receive(request: HttpRequest) -> HttpResponse:
    """Take one delivery receipt. It is not redirected, and answered with a 2xx once what it says is committed."""
    tokens = _tokens(is_needed=request.method == "POST")
    authorization = request.headers.get("Authorization", "")
    is_allowed = receipts.is_allowed(authorization, tokens)
    if request.method != "POST":
        if is_allowed:
            # A redirect turns a POST into a GET, which Notify takes for success
            logger.error("A delivery receipt was lost on its way: something redirects the address that Notify has")
        return HttpResponseNotAllowed(["POST"])
    if not tokens:
        return _answer(503, "Delivery receipts are off.")
    if not authorization:
        answer = _answer(401, "A bearer token is needed.")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if not is_allowed:
        logger.warning("A delivery receipt had none of the tokens in %s", conf.RECEIPT_TOKENS.full_name)
        return _answer(403, "The bearer token is wrong.")
    return _take(request)


def _take(request: HttpRequest) -> HttpResponse:
    # Before anything of the body is read
    try:
        size = int(request.META.get("CONTENT_LENGTH") or "")
    except ValueError:
        return _answer(411, "The Content-Length is missing.")
    if size > receipts.MAX_SIZE:
        return _answer(413, "That is too long for a delivery receipt.")
    try:
        receipt = receipts.parse(request.body)
    except receipts.Malformed as error:
        logger.error("A delivery receipt could not be read: %s", error)  # noqa: TRY400  # a traceback says no more
        return _answer(400, str(error))
    if receipt is None or not receipts.settle(receipt):
        logger.debug("A delivery receipt was about none of our emails")
    return HttpResponse(status=204)


def _tokens(*, is_needed: bool) -> tuple[str, ...]:
    """The tokens that are let in; none when the project has not set them right, with an error in the log if need be."""
    try:
        tokens = conf.receipt_tokens()
        problem = "" if tokens else f"{conf.RECEIPT_TOKENS.full_name} holds no token"
    except ImproperlyConfigured as error:
        tokens, problem = (), str(error)
    if problem and is_needed:
        logger.error("Delivery receipts cannot be taken: %s", problem)
    return tokens


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")

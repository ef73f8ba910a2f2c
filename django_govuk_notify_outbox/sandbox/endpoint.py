"""What every request to the API has in common: faults, authentication, errors, and the log of requests."""

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import router, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from . import faults, limits, receipts, responses
from .authentication import authenticate
from .clock import SECOND
from .conf import ALLOWED_WITHOUT_DEBUG, is_allowed
from .errors import ApiError
from .models import ApiRequest, Notification, SandboxState
from .services import ApiKey, Service

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request whose sender is known."""

    request: HttpRequest
    body: bytes
    state: SandboxState
    service: Service
    key: ApiKey
    hidden_for: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request comes to: an answer, and perhaps an email to store first."""

    response: HttpResponse
    to_store: Notification | None = None
    with_receipt: bool = False


Handler = Callable[..., Answer]
View = Callable[..., HttpResponseBase]


def guarded(view: View) -> View:
    """Open the view to callers without a session, and shut it where the sandbox isn't allowed."""

    def guarded_view(request: HttpRequest, **arguments: str) -> HttpResponseBase:
        if is_allowed():
            return view(request, **arguments)
        explanation = f"The sandbox is shut, because DEBUG is False. See {ALLOWED_WITHOUT_DEBUG}."
        return responses.sandbox_error(explanation)

    return transaction.non_atomic_requests(csrf_exempt(guarded_view))


def endpoint(allow: str, handlers: Mapping[str, Handler]) -> View:
    """Return the view that gives each method to its handler, with a Call and the parts of the path.

    Without handlers, nothing is there: 404, before anybody asks who is calling.
    """

    def view(request: HttpRequest, **arguments: str) -> HttpResponseBase:
        body = request.read()
        method = request.method or ""
        work = partial(_work, request, body, allow, handlers, arguments)
        log = ApiRequest(method=method, path=request.path, query=request.META.get("QUERY_STRING", ""))
        state = SandboxState.load()
        rule = faults.take(method, body, state.now()) if state.faults_waiting else None
        if rule is None:
            response = _settle(partial(work, state, hidden_for=0.0), log)
        else:
            response = _play(rule, request, log, work)
        return responses.traced(response, request)

    return guarded(view)


def _work(
    request: HttpRequest,
    body: bytes,
    allow: str,
    handlers: Mapping[str, Handler],
    arguments: Mapping[str, str],
    state: SandboxState,
    *,
    hidden_for: float,
) -> Answer:
    if not handlers:
        return Answer(response=responses.not_found())
    handler = handlers.get(request.method or "")
    if handler is None and request.method != "OPTIONS":
        return Answer(response=responses.method_not_allowed(allow))
    header = request.headers.get("Authorization", "")
    service, key = authenticate(header, now=state.now() / SECOND)
    if handler is None:
        return Answer(response=responses.options(allow))
    call = Call(request=request, body=body, state=state, service=service, key=key, hidden_for=hidden_for)
    return handler(call, **arguments)


def _play(rule: faults.Rule, request: HttpRequest, log: ApiRequest, work: Callable[..., Answer]) -> HttpResponse:
    # Logged on arrival, so that a request that is kept waiting can be seen.
    log.save()
    logged = ApiRequest.objects.filter(pk=log.pk)

    def handle() -> HttpResponse:
        if not logged.exists():
            # A late email of one test must not turn up in the next one.
            return responses.sandbox_error("The sandbox was reset while this request waited.")
        return _settle(partial(work, SandboxState.load(), hidden_for=rule.hidden_for), None)

    response = faults.play(rule, handle)
    if rule.cut and responses.CUT in request.META:
        request.META[responses.CUT]()
        return HttpResponse()
    logged.update(status=response.status_code)
    return response


def _settle(work: Callable[[], Answer], log: ApiRequest | None) -> HttpResponse:
    """Do the work and write what came of it: the email and the log of the request in one transaction."""
    try:
        answer = work()
        if answer.to_store is not None:
            with transaction.atomic(using=router.db_for_write(Notification)):
                answer.to_store.save(force_insert=True)
                limits.count(answer.to_store)
                if answer.with_receipt:
                    receipts.plan(answer.to_store)
                _write(log, answer.response)
            return answer.response
        response = answer.response
    except ApiError as error:
        response = responses.refusal(error)
    except Exception as error:  # noqa: BLE001  whatever it is, Notify would answer 500
        # No message of an exception: it might quote an address or a personalisation.
        trace = "".join(traceback.format_tb(error.__traceback__))
        logger.info("The sandbox answers 500 for %s.\n%s", type(error).__name__, trace)
        response = responses.failure(error)
    _write(log, response)
    return response


def _write(log: ApiRequest | None, response: HttpResponse) -> None:
    if log is not None:
        log.status = response.status_code
        log.save(force_insert=True)

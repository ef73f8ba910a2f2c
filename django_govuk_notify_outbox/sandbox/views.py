"""The API's addresses: each takes a request apart, calls one function and shapes the answer."""

from collections.abc import Callable

from . import listing, responses, sending, serializers
from .endpoint import Answer, Call, endpoint
from .errors import BadRequestError


def _send_email(call: Call) -> Answer:
    notification, rendered, is_stored = sending.accept_email(
        call.body, service=call.service, key=call.key, state=call.state, hidden_for=call.hidden_for
    )
    data = serializers.accepted(
        notification, service=call.service, rendered=rendered, root=responses.root_of(call.request)
    )
    return Answer(response=responses.json_answer(data, status=201), to_store=notification if is_stored else None)


def _refuse_text_message(call: Call) -> Answer:
    raise BadRequestError("Service is not allowed to send text messages")


def _refuse_letter(call: Call) -> Answer:
    raise BadRequestError("Service is not allowed to send letters")


_SENDERS: dict[str, Callable[[Call], Answer]] = {
    "email": _send_email,
    "sms": _refuse_text_message,
    "letter": _refuse_letter,
}


def _send(call: Call, name: str) -> Answer:
    # A KeyError for another kind, and so a 500, is what Notify comes to as well.
    return _SENDERS[name](call)


def _look_up(call: Call, name: str) -> Answer:
    now = call.state.now()
    row = listing.find(name, service=call.service, now=now)
    data = serializers.notification(row, now=now, root=responses.root_of(call.request))
    return Answer(response=responses.json_answer(data))


def _look_up_pdf(call: Call, name: str) -> Answer:
    listing.find(name, service=call.service, now=call.state.now())
    raise BadRequestError("Notification is not a letter")


def _list(call: Call) -> Answer:
    data = listing.page(
        call.request.GET,
        service=call.service,
        key_kind=call.key.kind,
        state=call.state,
        root=responses.root_of(call.request),
    )
    return Answer(response=responses.json_answer(data))


notifications = endpoint("GET, OPTIONS, HEAD", {"GET": _list, "HEAD": _list})
notification = endpoint("GET, POST, OPTIONS, HEAD", {"GET": _look_up, "HEAD": _look_up, "POST": _send})
pdf = endpoint("GET, OPTIONS, HEAD", {"GET": _look_up_pdf, "HEAD": _look_up_pdf})
not_found = endpoint("", {})

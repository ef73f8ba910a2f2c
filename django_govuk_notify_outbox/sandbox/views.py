"""The API's addresses: each takes a request apart, calls one function and shapes the answer."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from . import files, limits, listing, receipts, responses, sending, serializers, templates, validation
from .endpoint import Answer, Call, endpoint, guarded
from .errors import BadRequestError


def _send_email(call: Call) -> Answer:
    root = responses.root_of(call.request)
    email = sending.accept_email(
        call.body, service=call.service, key=call.key, state=call.state, root=root, hidden_for=call.hidden_for
    )
    data = serializers.accepted(email, service=call.service, root=root)
    return Answer(
        response=responses.json_answer(data, status=201),
        to_store=email.notification if email.is_stored else None,
        with_receipt=receipts.are_wanted(call.state),
    )


def _refuse_text_message(call: Call) -> Answer:
    validation.text_message_request(call.body, now=call.state.now())
    raise BadRequestError("Service is not allowed to send text messages")


def _refuse_letter(call: Call) -> Answer:
    validation.letter_request(call.body, now=call.state.now())
    raise BadRequestError("Service is not allowed to send letters")


_SENDERS: dict[str, Callable[[Call], Answer]] = {
    "email": _send_email,
    "sms": _refuse_text_message,
    "letter": _refuse_letter,
}


def _send(call: Call, name: str) -> Answer:
    limits.check(call.service, call.key, call.state)
    # A KeyError for another kind, and so a 500, is what Notify comes to as well.
    return _SENDERS[name](call)


def _look_up(call: Call, name: str) -> Answer:
    now = call.state.now()
    row = listing.find(name, service=call.service, now=now)
    data = serializers.notification(row, service=call.service, now=now, root=responses.root_of(call.request))
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


def _template(call: Call, template_id: str, version: int | None = None) -> Answer:
    template = templates.look_up(template_id, version, service=call.service)
    return Answer(response=responses.json_answer(templates.described(template)))


def _preview(call: Call, template_id: str) -> Answer:
    data = templates.preview(template_id, call.body, service=call.service)
    return Answer(response=responses.json_answer(data))


def _templates(call: Call) -> Answer:
    return Answer(response=responses.json_answer(templates.page(call.request.GET, service=call.service)))


def _received_texts(call: Call) -> Answer:
    # There are none: the service has no number
    links = {"current": f"{responses.root_of(call.request)}/v2/received-text-messages"}
    return Answer(response=responses.json_answer({"links": links, "received_text_messages": []}))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer as Notify does wherever it has nothing."""
    return responses.traced(responses.not_found(), request)


def _document(request: HttpRequest, service: str, document: str) -> HttpResponseBase:
    file = files.find(document, request.GET.get("key", ""))
    if file is None:
        return responses.not_found()
    # It comes from whoever uses the service: nothing in it may run here
    response = HttpResponse(file.content, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=file.name)
    return responses.with_headers(response)


notifications = endpoint("GET, OPTIONS, HEAD", {"GET": _list, "HEAD": _list})
notification = endpoint("GET, POST, OPTIONS, HEAD", {"GET": _look_up, "HEAD": _look_up, "POST": _send})
pdf = endpoint("GET, OPTIONS, HEAD", {"GET": _look_up_pdf, "HEAD": _look_up_pdf})
template = endpoint("GET, OPTIONS, HEAD", {"GET": _template, "HEAD": _template})
preview = endpoint("POST, OPTIONS", {"POST": _preview})
all_templates = endpoint("GET, OPTIONS, HEAD", {"GET": _templates, "HEAD": _templates})
received_texts = endpoint("GET, OPTIONS, HEAD", {"GET": _received_texts, "HEAD": _received_texts})
not_found = endpoint("", {})
document = guarded(_document)

"""HTTP answers as Notify writes them: sorted keys, and the headers that every answer has."""

import json
import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse

from .errors import ApiError

JSON = "application/json"
HTML = "text/html; charset=utf-8"

# In the environ of a request: a callable that closes the connection. The sandbox's own server offers it.
CUT = "govuk_notify_sandbox.cut"


def json_answer(data: Any, *, status: int = 200, content_type: str = JSON) -> HttpResponse:
    """Return data as an answer, byte for byte as Notify would write it."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n"
    return with_headers(HttpResponse(text, status=status, content_type=content_type))


def with_headers(response: HttpResponse) -> HttpResponse:
    """Return the answer with what Notify puts on each one, but for HSTS, which browsers would remember."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type,Authorization"
    response.headers["Access-Control-Allow-Methods"] = "GET,PUT,POST,DELETE"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["X-Permitted-Cross-Domain-Policies"] = "none"
    response.headers["Cache-Control"] = "no-store, no-cache, private, must-revalidate"
    # Without it the server has to close the connection to tell where the answer ends.
    response.headers["Content-Length"] = str(len(response.content))
    return response


def traced(response: HttpResponse, request: HttpRequest) -> HttpResponse:
    """Return the answer with the caller's trace id, or one made up, as every answer of Notify has."""
    response.headers["X-B3-TraceId"] = request.headers.get("X-B3-TraceId") or secrets.token_hex(16)
    response.headers["X-B3-SpanId"] = f"self-{secrets.token_hex(8)}"
    return response


def error_answer(name: str, messages: list[str], *, status: int) -> HttpResponse:
    """Return a refusal or a failure in the shape that the API uses for them."""
    errors = [{"error": name, "message": message} for message in messages]
    return json_answer({"errors": errors, "status_code": status}, status=status)


def refusal(error: ApiError) -> HttpResponse:
    """Return the answer that tells of the error."""
    return error_answer(type(error).__name__, error.messages, status=error.status)


def failure(error: Exception) -> HttpResponse:
    """Return the 500 that Notify gives for what it didn't expect: the error's class, and nothing else of it."""
    return error_answer(type(error).__name__, ["Internal server error"], status=500)


def sandbox_error(explanation: str) -> HttpResponse:
    """Return the answer for what Notify knows nothing of: the sandbox itself can't do something."""
    return error_answer("SandboxError", [explanation], status=500)


def not_found() -> HttpResponse:
    """Return the 404 for an address at which Notify has nothing."""
    message = (
        "The requested URL was not found on the server. "
        "If you entered the URL manually please check your spelling and try again."
    )
    return json_answer({"message": message, "result": "error"}, status=404)


def method_not_allowed(allow: str) -> HttpResponse:
    """Return the 405, which is JSON under the name of HTML, as it is with Notify."""
    message = "The method is not allowed for the requested URL."
    response = json_answer({"message": message, "result": "error"}, status=405, content_type=HTML)
    response.headers["Allow"] = allow
    return response


def options(allow: str) -> HttpResponse:
    """Return the empty answer that tells the methods."""
    response = with_headers(HttpResponse(content_type=HTML))
    response.headers["Allow"] = allow
    return response


def root_of(request: HttpRequest) -> str:
    """Return the address that the API's paths follow, as the caller wrote it."""
    path = request.path[: request.path.rindex("/v2/")]
    return f"{request.scheme}://{request.get_host()}{path}"

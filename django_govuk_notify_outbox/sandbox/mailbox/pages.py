"""How pages are made and guarded. What they show of an email is text to them, and never looked into for template code.

The templates have an engine of their own, because a project's settings may name another one, or none.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirectBase
from django.template import Context, Engine
from django.urls import reverse

from django_govuk_notify_outbox.sandbox import defaults, origins
from django_govuk_notify_outbox.sandbox.endpoint import View, guarded

_FOLDER = Path(__file__).parent
_ASSETS = {"mailbox.css": "text/css", "mailbox.js": "text/javascript", "icon.svg": "image/svg+xml"}

# Nothing but what the sandbox itself serves: no inline script or style, nothing from elsewhere, no frame around it.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# An email runs no script, fetches nothing and sends no form. Its links open in a window of their own.
_EMAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


class SeeOther(HttpResponseRedirectBase):
    """Leads from a form to the page that shows what came of it."""

    status_code = 303


def page(*methods: str) -> Callable[[View], View]:
    """Guard a view as the API's are, and against pages of other sites."""

    def decorate(view: View) -> View:
        def guarded_view(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            if not origins.is_trusted(request):
                return HttpResponse("A page of another site can't change the sandbox.", status=403)
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            return view(request, **arguments)

        return guarded(guarded_view)

    return decorate


def address(request: HttpRequest, name: str, /, **arguments: Any) -> str:
    """Return the path of one of the sandbox's addresses, wherever it's mounted."""
    namespace = request.resolver_match.namespace if request.resolver_match else ""
    return reverse(f"{namespace}:{name}" if namespace else name, kwargs=arguments)


def render(request: HttpRequest, template: str, *, status: int = 200, **values: Any) -> HttpResponse:
    """Return a page of the sandbox."""
    values |= {
        "section": template.removesuffix(".html"),
        "mailbox_address": address(request, "mailbox"),
        "faults_address": address(request, "fault_page"),
        "css": address(request, "asset", name="mailbox.css"),
        "js": address(request, "asset", name="mailbox.js"),
        "icon": address(request, "asset", name="icon.svg"),
    }
    response = HttpResponse(_engine().get_template(template).render(Context(values)), status=status)
    response.headers["Content-Security-Policy"] = _PAGE_POLICY
    response.headers["X-Frame-Options"] = "DENY"
    # A stricter one would have browsers leave out where a form comes from
    response.headers["Referrer-Policy"] = "same-origin"
    return _private(response)


def render_email(html: str, *, subject: str) -> HttpResponse:
    """Return an email as a page by itself, whose HTML is ours: nothing that a caller gave is a tag in it."""
    response = HttpResponse(_engine().get_template("body.html").render(Context({"html": html, "subject": subject})))
    response.headers["Content-Security-Policy"] = _EMAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Referrer-Policy"] = "no-referrer"
    return _private(response)


@page("GET", "HEAD")
def asset(request: HttpRequest, name: str) -> HttpResponse:
    """Return a style sheet, a script or a picture of the pages."""
    if name not in _ASSETS:
        return HttpResponse("There is no such file.", status=404, content_type="text/plain")
    response = HttpResponse((_FOLDER / "assets" / name).read_bytes(), content_type=_ASSETS[name])
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def settings_for(request: HttpRequest) -> dict[str, str]:
    """Return what a project has to know to send its emails here."""
    return {
        "base_url": f"{request.scheme}://{request.get_host()}",
        "api_key": defaults.API_KEY,
        "template_id": defaults.PLAIN_TEMPLATE_ID,
    }


def _private(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@cache
def _engine() -> Engine:
    return Engine(dirs=[str(_FOLDER / "pages")])

"""Which site a request comes from: pages of other sites must neither read nor change anything here.

The sandbox has no sessions, so there's no cookie that other sites could misuse, nor one that could hold a token. What
protects it is what browsers say of each request, in headers that no page can change.
"""

from urllib.parse import urlsplit

from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

# In the environ of a request: the host names that the server goes by. The sandbox's own server says so.
NAMES = "govuk_notify_sandbox.names"

_OWN = ("same-origin", "none")  # "none": typed into the address bar, or a bookmark
_READING = ("GET", "HEAD", "OPTIONS")


def is_trusted(request: HttpRequest) -> bool:
    """Tell whether the request may go on. Raises DisallowedHost for a host that a project's settings don't allow.

    Programs send none of these headers, and may go on. The host matters, since a foreign name may be made to lead to
    this machine: its pages would then be of the same site as the sandbox, and could read it.
    """
    host = request.get_host()
    if not validate_host(split_domain_port(host)[0], request.META.get(NAMES, ["*"])):
        return False
    if request.method in _READING:
        # Other sites may link here, and can't read the answer
        return True
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OWN
    # Browsers say where a form comes from even where they leave the other header out: over http from another machine
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == host

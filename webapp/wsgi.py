"""The server entry for gunicorn."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import cv2
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
cv2.setNumThreads(1)  # the server has threads of its own
sys.setswitchinterval(0.0005)  # s; an answer of 3 ms waits for a calculation at every turn, for 5 ms each by default
_django = get_wsgi_application()
_CHARSET = re.compile(r";[^;=]*charset[^;=]*=[^;]*", re.IGNORECASE)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, by which all text is UTF-8, whatever a request says: it would look for the charset, and fail on some
    before there is anybody to answer."""
    if "CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = _CHARSET.sub("", environ["CONTENT_TYPE"])
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer

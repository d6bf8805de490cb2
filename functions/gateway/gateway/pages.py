"""The API's document and the page that shows it: files beside this module, read at the first request."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

from mercato.http import Document

_HERE = Path(__file__).parent


class OpenApi(Document):
    media_type = "application/json"


class Page(Document):
    media_type = "text/html; charset=utf-8"


@functools.cache
def read_contract() -> OpenApi:
    return OpenApi((_HERE / "openapi.json").read_text())


@functools.cache
def read_page() -> tuple[Page, str]:
    """The page and its Content-Security-Policy, which allows only the page's own script and style, and requests to its
    own origin.
    """
    page = Page((_HERE / "docs.html").read_text())
    (script,), (style,) = (re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

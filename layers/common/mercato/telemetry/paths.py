"""Paths for logs, without what grants access by itself."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

# A guest's cart, the link of a guest's order, and the signed links of mails: who knows the id needs no token.
_BEFORE = ("/guests/", "/guests/sandbox/challenges/", "/guest-reminders/", "/guest-wishes/", "/unsubscriptions/")
_CAPABILITY = re.compile(
    rf"(?:{'|'.join(f'(?<={re.escape(before)})' for before in _BEFORE)})(?!sandbox/challenges/)[^/?]+"
)


def digest_of(capability: str) -> str:
    """What a log has in place of a capability. Lines about the same one have the same digest."""
    return f"~{hashlib.sha256(capability.encode()).hexdigest()[:12]}"


def hide_capability(path: str) -> str:
    """The path of a call to the API, with a digest in place of the capability that it may contain."""
    return _CAPABILITY.sub(lambda found: digest_of(unquote(found[0])), path)

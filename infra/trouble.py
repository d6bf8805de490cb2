"""The exception for a problem of the local shop, with its remedy."""

from __future__ import annotations


class Trouble(Exception):
    """The shop cannot start or continue. `what` says what failed, and `remedy` says what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}".strip())
        self.what = what
        self.remedy = remedy

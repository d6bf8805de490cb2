"""What goes wrong on the way up, told so that it can be mended."""

from __future__ import annotations


class Trouble(Exception):
    """The shop cannot start or go on. `what` says what failed, `remedy` what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}".strip())
        self.what = what
        self.remedy = remedy

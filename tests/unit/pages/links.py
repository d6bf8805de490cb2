"""The links of a page to its own parts."""

from __future__ import annotations

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id") and given.get("type") != "hidden":
            self.targets.add(given["id"] or "")
        address = given.get("href") or ""
        if tag == "a" and address.startswith("#"):
            self.links.append(address[1:])


def dead_links(html: str) -> list[str]:
    """The ids to which links of this page lead, and which no visible element of it has. A part of a page has none: its
    links lead into the page around it.
    """
    if "<html" not in html:
        return []
    reader = _Reader()
    reader.feed(html)
    return [link for link in reader.links if link not in reader.targets]

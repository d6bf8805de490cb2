"""Every pair of text and background is readable: WCAG 2.2 requires 4.5 to 1, and 3 to 1 for a field's border."""

from __future__ import annotations

import re

import pytest

from tests.kit.template import ROOT

CSS = (ROOT / "layers/pages/pages/static/mercato.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", part)) for part in CSS.split("prefers-color-scheme: dark")[:2]
)
TEXTS = [
    *((text, ground) for text in ("ink", "ink-2", "brand", "bad") for ground in ("paper", "card")),
    ("on-brand", "brand"),
    ("ink", "brand-soft"),
    *((tone, f"{tone}-soft") for tone in ("ok", "warn", "bad", "info", "idle")),
]
EDGES = [("field", "card"), ("field", "paper"), ("brand", "paper"), ("brand", "card")]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_twenty_one_to_one() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == 21


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_a_text_can_be_read_on_its_ground(scheme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_an_edge_can_be_seen_on_its_ground(scheme: dict[str, str], edge: str, ground: str) -> None:
    assert contrast(scheme[edge], scheme[ground]) >= 3


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_focus_can_be_seen_on_the_console_s_menu(scheme: dict[str, str]) -> None:
    """The menu has the same ground in both schemes."""
    ground = re.findall(r"\.console \.front \{ background: (#[0-9a-f]{6})", CSS)
    outline = re.findall(r"\.console \.front :focus-visible \{ outline-color: (#[0-9a-f]{6})", CSS)
    assert contrast([scheme["brand"], *outline][-1], ground[0]) >= 3

"""A picture for a product without one: shapes and colours that follow from its id, so that each has its own."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

_GROUNDS = ("#f6d7c3", "#cfe3d6", "#d5dfee", "#f3e3b3", "#e6d5e8", "#d9e4cf", "#f2cfcf", "#cde5e6")
_INKS = ("#b4321f", "#1e6b42", "#1c5a8a", "#7a4e00", "#6a3d7c", "#3d5a2a", "#8f2540", "#17595c")
_WHITE = "#fffaf0"


@functools.lru_cache(maxsize=1024)
def still_life(product_id: str) -> dict[str, Any]:
    """Three things on a table, in a frame of 400 by 300: `ground` is a colour, the others are a path and its colour."""
    seed = hashlib.sha256(product_id.encode()).digest()
    ink = seed[1] % 8
    second = _INKS[(ink + 1 + seed[2] % 7) % 8]
    table = 215 + seed[3] % 25
    radius = 34 + seed[21] % 24
    colours = (_INKS[ink], second, _WHITE)
    return {
        "ground": _GROUNDS[seed[0] % 8],
        "table": {"d": f"M0 {table}h400v{300 - table}h-400z", "fill": second},
        "sun": {"d": _circle(60 + seed[20], 70, radius), "fill": _WHITE},
        "things": [
            {"d": _thing(seed[4 + 5 * i : 9 + 5 * i], i, table + 20), "fill": colour}
            for i, colour in enumerate(colours)
        ],
    }


def _circle(x: int, y: int, radius: int) -> str:
    return f"M{x - radius} {y}a{radius} {radius} 0 1 1 {2 * radius} 0a{radius} {radius} 0 1 1 -{2 * radius} 0z"


def _thing(seed: bytes, place: int, foot: int) -> str:
    """The path of a jar, a bowl, a cone, a ball or a bottle."""
    x, kind = 110 + 90 * place + seed[0] % 30 - 15, seed[1] % 5
    height, width = 70 + seed[2] % 80, 44 + seed[3] % 40
    half = width // 2
    if kind == 0:
        neck = width // 3
        return f"M{x - half} {foot}v-{height}h{half - neck}v-14h{2 * neck}v14h{half - neck}v{height}z"
    if kind == 1:
        return f"M{x - width} {foot - 50}h{2 * width}a{width} 50 0 0 1 -{2 * width} 0z"
    if kind == 2:
        return f"M{x} {foot - height}l{half} {height}h-{2 * half}z"
    if kind == 3:
        return _circle(x, foot - half - 8, half + 8)
    body = max(height - 40, 24)
    return f"M{x - 9} {foot - body - 64}h18v34q18 8 18 30v{body}h-54v-{body}q0 -22 18 -30z"

"""Draws the demo products' pictures: one object on a coloured background, in flat shapes and few colours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

from PIL import Image, ImageDraw

_WIDTH, _HEIGHT = 1200, 900  # size of the coordinate system
_SCALE, _FINE = 4 / 3, 2  # drawn larger and reduced to 800 by 600 pixels, for smooth edges
# Category → the colours of the wall, the table, the object and its accent.
_COLOURS = {
    "lighting": ("#f3e3b3", "#d9b862", "#7a4e00", "#fff3c4"),
    "kitchen": ("#cde5e6", "#8fbcc0", "#17595c", "#fffaf0"),
    "pantry": ("#d9e4cf", "#a9c18f", "#3d5a2a", "#f2c14e"),
    "home": ("#f6d7c3", "#dba585", "#b4321f", "#fffaf0"),
    "books": ("#d5dfee", "#9fb4d3", "#1c5a8a", "#fffaf0"),
    "desk": ("#e6d5e8", "#c3a3c8", "#6a3d7c", "#e0b64f"),
    "travel": ("#cfe3d6", "#93bda3", "#1e6b42", "#f0d9a8"),
}
_DARK = "#2a2621"


class _Sheet:
    """The drawing surface with a category's background. `main`, `light` and `shade` are the category's colours."""

    def __init__(self, category: str) -> None:
        wall, self.shade, self.main, self.light = _COLOURS[category]
        self.image = Image.new("RGB", (int(_WIDTH * _SCALE), int(_HEIGHT * _SCALE)), wall)
        self._draw = ImageDraw.Draw(self.image)
        self.box(0, 690, 1200, 900, self.shade)
        self.oval(300, 680, 900, 770, _mixed(self.shade, _DARK, 0.25))

    def _fine(self, *numbers: float) -> list[float]:
        return [number * _SCALE for number in numbers]

    def box(self, x: float, y: float, right: float, foot: float, fill: str, round_by: float = 0) -> None:
        self._draw.rounded_rectangle(self._fine(x, y, right, foot), round_by * _SCALE, fill)

    def oval(self, x: float, y: float, right: float, foot: float, fill: str) -> None:
        self._draw.ellipse(self._fine(x, y, right, foot), fill)

    def ring(self, x: float, y: float, right: float, foot: float, fill: str, width: int) -> None:
        self._draw.ellipse(self._fine(x, y, right, foot), outline=fill, width=round(width * _SCALE))

    def shape(self, fill: str, *points: tuple[float, float]) -> None:
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill)

    def line(self, fill: str, width: int, *points: tuple[float, float]) -> None:
        self._draw.line([(x * _SCALE, y * _SCALE) for x, y in points], fill, round(width * _SCALE), joint="curve")

    def bowl(self, x: float, y: float, right: float, foot: float, fill: str) -> None:
        """Draws the lower half of an oval. `y` is its upper edge."""
        self._draw.pieslice(self._fine(x, 2 * y - foot, right, foot), 0, 180, fill)


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(a + (b - a) * share) for a, b in pairs).hex()


def _lantern(s: _Sheet) -> None:
    s.ring(480, 150, 720, 390, _DARK, 16)
    s.box(500, 270, 700, 320, s.main, 12)
    s.box(450, 310, 750, 345, s.main, 12)
    s.box(470, 345, 730, 650, s.light)
    s.oval(550, 440, 650, 620, "#f2a93b")
    s.oval(578, 500, 622, 615, "#ffe9a8")
    for x in (470, 592, 714):
        s.box(x, 345, x + 16, 650, s.main)
    s.box(430, 650, 770, 720, s.main, 16)


def _moon_lamp(s: _Sheet) -> None:
    s.oval(420, 170, 780, 530, _mixed(s.light, "#ffffff", 0.4))
    for x, y, r in ((520, 270, 34), (640, 250, 20), (660, 390, 46), (510, 410, 24), (580, 340, 14)):
        s.oval(x - r, y - r, x + r, y + r, _mixed(s.light, s.shade, 0.45))
    s.shape(s.main, (560, 515), (640, 515), (665, 690), (535, 690))
    s.box(470, 680, 730, 725, s.main, 20)


def _string_lights(s: _Sheet) -> None:
    points = [
        (x, 260 + 150 * math.sin((x - 100) / 1000 * math.pi) + 26 * math.sin(x / 60)) for x in range(60, 1141, 10)
    ]
    s.line(_DARK, 9, *points)
    for i, (x, y) in enumerate(points[6::13]):
        s.box(x - 14, y, x + 14, y + 40, s.main, 6)
        s.oval(x - 34, y + 30, x + 34, y + 120, ("#f2a93b", "#fff3c4", "#e8743b")[i % 3])


def _mug(s: _Sheet) -> None:
    s.ring(660, 380, 880, 610, s.main, 44)
    s.box(380, 320, 740, 730, s.main, 40)
    s.box(380, 470, 740, 540, s.light)
    s.box(380, 565, 740, 585, s.light)
    s.oval(380, 290, 740, 360, _mixed(s.main, _DARK, 0.35))
    for x in (480, 560, 640):
        s.line("#ffffff", 10, *[(x + 16 * math.sin(y / 22), y) for y in range(150, 270, 6)])


def _espresso(s: _Sheet) -> None:
    for x, colour in ((290, s.main), (640, "#b4321f")):
        s.oval(x - 40, 660, x + 310, 740, s.light)
        s.ring(x + 180, 490, x + 310, 610, colour, 26)
        s.box(x + 20, 460, x + 240, 520, colour)
        s.bowl(x + 20, 515, x + 240, 705, colour)
        s.oval(x + 20, 435, x + 240, 490, "#4a2f1b")


def _speckled_bowl(s: _Sheet) -> None:
    s.box(500, 690, 700, 735, s.main, 14)
    s.bowl(300, 420, 900, 720, s.light)
    s.oval(300, 370, 900, 470, _mixed(s.light, s.shade, 0.5))
    for i in range(46):
        x, y = 340 + i * 131 % 520, 490 + i * 67 % 170
        if (x - 600) ** 2 / 78_000 + (y - 430) ** 2 / 70_000 < 1:
            s.oval(x, y, x + 8 + i % 3 * 4, y + 8 + i % 3 * 4, s.main)


def _skillet(s: _Sheet) -> None:
    iron = "#34373a"
    s.line(iron, 58, (690, 560), (1060, 330))
    s.oval(1020, 290, 1100, 370, iron)
    s.oval(1045, 315, 1075, 345, s.shade)
    s.oval(210, 380, 800, 740, iron)
    s.oval(250, 405, 760, 700, "#4b5054")
    s.oval(380, 480, 620, 640, "#fffaf0")
    s.oval(460, 525, 540, 595, "#f2a93b")


def _knife(s: _Sheet) -> None:
    s.box(250, 600, 950, 720, "#c79a63", 24)
    s.shape("#d9dee0", (300, 520), (640, 430), (660, 500), (460, 540))
    s.line("#aab3b6", 6, (300, 520), (460, 540), (660, 500))
    s.line("#5d3a1e", 74, (660, 462), (900, 398))
    for x, y in ((715, 448), (780, 430), (845, 413)):
        s.oval(x - 10, y - 10, x + 10, y + 10, "#e0b64f")


def _tea(s: _Sheet) -> None:
    s.box(420, 300, 780, 730, s.main, 18)
    s.box(405, 250, 795, 330, _mixed(s.main, _DARK, 0.3), 16)
    s.box(460, 410, 740, 640, s.light, 12)
    for turn in (-0.7, 0.0, 0.7):
        _leaf(s, 600, 610, 150, turn)


def _leaf(s: _Sheet, x: float, y: float, length: float, turn: float) -> None:
    side = [(t, math.sin(t * math.pi) * 0.2) for t in (i / 20 for i in range(21))]
    points = [*side, *[(t, -w) for t, w in reversed(side)]]
    s.shape(
        s.main,
        *[
            (
                x + length * (t * math.sin(turn) + w * math.cos(turn)),
                y - length * (t * math.cos(turn) - w * math.sin(turn)),
            )
            for t, w in points
        ],
    )


def _mint(s: _Sheet) -> None:
    s.shape("#fffaf0", (430, 300), (770, 300), (800, 735), (400, 735))
    s.box(430, 240, 770, 320, s.main, 10)
    s.line("#fffaf0", 8, (450, 280), (750, 280))
    for y, length in ((690, 190), (610, 150), (530, 110)):
        for turn in (-0.9, 0.9):
            _leaf(s, 600, y, length, turn)
    s.line(s.main, 10, (600, 710), (600, 420))


def _honey(s: _Sheet) -> None:
    s.box(400, 330, 800, 730, "#e8a33b", 70)
    s.box(430, 400, 470, 640, "#f6c46a", 20)
    s.box(420, 240, 780, 340, s.main, 22)
    hexagon = [(600 + 105 * math.sin(i * math.pi / 3), 545 + 105 * math.cos(i * math.pi / 3)) for i in range(6)]
    s.shape("#fffaf0", *hexagon)
    s.oval(570, 515, 630, 575, "#e8a33b")


def _oil(s: _Sheet) -> None:
    s.box(555, 120, 645, 190, "#c79a63", 10)
    s.box(562, 180, 638, 330, s.main)
    s.shape(s.main, (562, 320), (638, 320), (740, 450), (460, 450))
    s.box(460, 440, 740, 735, s.main, 20)
    s.box(490, 500, 710, 670, s.light, 8)
    s.oval(550, 545, 610, 625, "#7f9a3a")
    s.oval(600, 560, 652, 630, s.main)


def _rug(s: _Sheet) -> None:
    def across(y: float) -> tuple[float, float]:
        slant = (y - 300) * 0.304
        return 350 - slant, 850 + slant

    s.shape(s.main, (330, 300), (870, 300), (1010, 760), (190, 760))
    for i, colour in enumerate((s.light, s.shade, s.light, s.shade)):
        top, foot = 360 + i * 100, 395 + i * 104
        (x, right), (foot_x, foot_right) = across(top), across(foot)
        s.shape(colour, (x, top), (right, top), (foot_right, foot), (foot_x, foot))
    for x in range(200, 1010, 24):
        s.line(s.light, 6, (x, 760), (x - 4, 796))


def _throw(s: _Sheet) -> None:
    for y, colour in ((600, s.main), (500, s.light), (400, s.main)):
        s.box(300, y, 900, y + 125, colour, 50)
        s.box(300, y + 52, 900, y + 66, s.shade)
    for x in range(330, 880, 30):
        s.line(s.main, 7, (x, 715), (x, 765))


def _cushion(s: _Sheet) -> None:
    s.shape(
        s.main,
        (300, 260),
        (450, 290),
        (600, 296),
        (750, 290),
        (900, 260),
        (872, 500),
        (900, 750),
        (600, 716),
        (300, 750),
        (328, 500),
    )
    for y in (370, 440, 510, 580, 650):
        s.line(s.light, 12, (350, y), (850, y))
    s.oval(578, 484, 622, 528, s.light)


def _clock(s: _Sheet) -> None:
    s.oval(330, 140, 870, 680, _DARK)
    s.oval(370, 180, 830, 640, s.light)
    for hour in range(12):
        sine, cosine = math.sin(hour * math.pi / 6), math.cos(hour * math.pi / 6)
        s.line(_DARK, 20 if hour % 3 == 0 else 10, *[(600 + r * sine, 410 - r * cosine) for r in (170, 205)])
    s.line(_DARK, 20, (600, 410), (510, 350))
    s.line(_DARK, 14, (600, 410), (690, 280))
    s.line(s.main, 6, (570, 470), (640, 250))
    s.oval(580, 390, 620, 430, s.main)
    s.box(520, 670, 680, 725, _DARK, 14)


def _book(s: _Sheet) -> None:
    s.box(390, 180, 820, 735, _mixed(s.main, _DARK, 0.35), 14)
    s.box(400, 195, 805, 720, "#fffaf0", 8)
    s.box(380, 170, 790, 720, s.main, 14)
    s.box(380, 170, 420, 720, _mixed(s.main, _DARK, 0.25), 10)
    s.box(470, 250, 740, 350, s.light, 6)
    for i in range(5):
        s.line(s.shade, 9, *[(x, 450 + i * 44 + 14 * math.sin(x / 40 + i)) for x in range(460, 751, 10)])


def _tide_tables(s: _Sheet) -> None:
    s.box(400, 200, 800, 735, "#17595c", 14)
    s.oval(520, 260, 680, 420, s.light)
    for i, colour in enumerate(("#8fbcc0", "#cde5e6", "#4f8f96")):
        top = [(x, 500 + i * 65 + 20 * math.sin(x / 34 + i * 2)) for x in range(400, 801, 8)]
        s.shape(colour, *top, (800, 735), (400, 735))
    s.box(400, 200, 436, 735, "#0f4245", 10)


def _pen(s: _Sheet) -> None:
    s.box(260, 560, 940, 740, "#fffaf0", 8)
    s.line(s.main, 6, *[(x, 690 + 20 * math.sin(x / 16)) for x in range(330, 560, 4)])
    s.line(s.light, 52, (590, 600), (880, 250))
    s.line(_mixed(s.light, "#ffffff", 0.5), 12, (585, 590), (865, 250))
    s.shape(_DARK, (562, 588), (612, 628), (548, 672))
    s.line(_mixed(s.light, _DARK, 0.4), 14, (840, 330), (905, 252))


def _notebook(s: _Sheet) -> None:
    s.box(370, 180, 830, 735, s.main, 24)
    s.box(420, 220, 800, 695, "#fffaf0", 10)
    for y in range(260, 680, 40):
        for x in range(460, 790, 40):
            s.oval(x - 4, y - 4, x + 4, y + 4, s.shade)
    s.box(740, 180, 764, 735, s.light)
    for y in range(230, 710, 60):
        s.box(350, y, 410, y + 18, _DARK, 9)


def _satchel(s: _Sheet) -> None:
    s.ring(440, 160, 760, 520, "#5d3a1e", 26)
    s.box(290, 330, 910, 735, s.main, 40)
    s.box(290, 330, 910, 560, _mixed(s.main, _DARK, 0.25), 40)
    for x in (400, 740):
        s.box(x, 420, x + 60, 660, "#8a5a2b", 10)
        s.box(x - 8, 560, x + 68, 620, "#e0b64f", 8)
        s.box(x + 12, 576, x + 48, 604, "#8a5a2b")


def _flask(s: _Sheet) -> None:
    s.box(490, 130, 710, 270, _DARK, 26)
    s.box(470, 250, 730, 735, s.main, 44)
    s.box(500, 300, 530, 690, _mixed(s.main, "#ffffff", 0.3), 14)
    s.box(470, 450, 730, 560, s.light)
    s.shape(s.main, (530, 545), (600, 465), (640, 510), (660, 490), (700, 545))


def _chart(s: _Sheet) -> None:
    for i in range(4):
        x, shift = 240 + i * 180, 40 if i % 2 else 0
        paper = s.light if i % 2 else _mixed(s.light, "#ffffff", 0.4)
        s.shape(paper, (x, 250 + shift), (x + 180, 290 - shift), (x + 180, 740 - shift), (x, 700 + shift))
    s.shape("#8fbcc0", (300, 420), (470, 350), (640, 430), (600, 570), (430, 610), (320, 540))
    s.line("#b4321f", 10, *[(x, 620 - (x - 380) * 0.5 + 24 * math.sin(x / 30)) for x in range(380, 850, 44)])
    s.line("#b4321f", 14, (832, 336), (876, 380))
    s.line("#b4321f", 14, (876, 336), (832, 380))


def _bell(s: _Sheet) -> None:
    s.line("#7d868a", 44, (200, 690), (1000, 690))
    s.box(540, 560, 660, 720, _DARK, 14)
    s.bowl(350, 560, 850, 620, "#9aa3a7")
    s.shape(
        "#c9d1d4",
        *[(600 + 250 * math.cos(a / 30 * math.pi), 570 - 300 * math.sin(a / 30 * math.pi)) for a in range(31)],
    )
    s.line("#ffffff", 20, *[(600 - 180 * math.cos(a / 30), 560 - 215 * math.sin(a / 30)) for a in range(8, 34)])
    s.oval(560, 245, 640, 325, s.main)
    s.line(_DARK, 30, (850, 600), (960, 540))


_THINGS: dict[str, Callable[[_Sheet], None]] = {
    "LAMP-01": _lantern,
    "LAMP-02": _moon_lamp,
    "LAMP-03": _string_lights,
    "MUG-01": _mug,
    "MUG-02": _espresso,
    "BOWL-01": _speckled_bowl,
    "PAN-01": _skillet,
    "KNIFE-01": _knife,
    "TEA-01": _tea,
    "TEA-02": _mint,
    "HONEY-01": _honey,
    "OIL-01": _oil,
    "RUG-01": _rug,
    "THROW-01": _throw,
    "CUSH-01": _cushion,
    "CLOCK-01": _clock,
    "BOOK-01": _book,
    "BOOK-02": _tide_tables,
    "PEN-01": _pen,
    "NOTE-01": _notebook,
    "BAG-01": _satchel,
    "FLASK-01": _flask,
    "MAP-01": _chart,
    "BIKE-01": _bell,
}


def draw(sku: str, category: str) -> bytes:
    """Returns the product's picture as a PNG. Raises KeyError if there is no drawing of the product."""
    sheet = _Sheet(category)
    _THINGS[sku](sheet)
    written = io.BytesIO()
    sheet.image.reduce(_FINE).save(written, "PNG", compress_level=1)
    return written.getvalue()


DRAWN = frozenset(_THINGS)

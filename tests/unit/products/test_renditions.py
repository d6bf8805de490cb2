"""The renditions of an uploaded file, or the reason why it is refused."""

from __future__ import annotations

import contextlib
import io
import resource
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from products import images
from products.renditions import Unusable, render
from tests.kit.picture_files import encoded, photograph, picture, png_bomb, webp_bomb

RED, BLUE, WHITE = (200, 30, 30), (30, 30, 200), (255, 255, 255)
FRAMES = [picture(200, 200), picture(200, 200, "L").convert("RGB")]


def opened(content: bytes) -> list[Image.Image]:
    return [Image.open(io.BytesIO(rendition.content)) for rendition in render(content).renditions]


def is_near(found: object, wanted: tuple[int, ...], by: int = 12) -> bool:
    assert isinstance(found, tuple)
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))


def left_and_right(image: Image.Image) -> tuple[object, object]:
    middle = image.height // 2
    return image.getpixel((image.width // 8, middle)), image.getpixel((image.width * 7 // 8, middle))


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (2000, 1500, [(320, 240), (640, 480), (1280, 960)]),
        (1280, 960, [(320, 240), (640, 480), (1280, 960)]),
        (800, 600, [(320, 240), (640, 480), (800, 600)]),
        (320, 100, [(320, 100)]),
        (150, 900, [(150, 900)]),
    ],
)
def test_a_picture_is_scaled_down_and_never_up(width: int, height: int, sizes: list[tuple[int, int]]) -> None:
    assert [image.size for image in opened(encoded(picture(width, height)))] == sizes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_rendition_is_a_webp_that_shows_the_picture(kind: str) -> None:
    for image in opened(encoded(picture(), kind)):
        assert (image.format, image.mode) == ("WEBP", "RGB")
        left, right = left_and_right(image)
        assert is_near(left, RED)
        assert is_near(right, BLUE)


def test_the_same_file_gives_the_same_renditions() -> None:
    content = encoded(picture())
    assert render(content) == render(content)
    assert render(content).digest != render(encoded(picture(801))).digest


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (320, 240)), (2, (320, 240)), (3, (320, 240)), (6, (320, 427)), (8, (320, 427))]
)
def test_a_photograph_is_turned_as_its_camera_says(orientation: int, size: tuple[int, int]) -> None:
    found = opened(photograph(orientation=orientation))[0]
    assert found.size == size
    if orientation in (2, 3):  # mirrored, upside down
        left, right = left_and_right(found)
        assert is_near(left, BLUE)
        assert is_near(right, RED)
    if orientation == 6:  # a quarter to the right: what was left is now above
        assert is_near(found.getpixel((160, 40)), RED)


def test_a_rendition_does_not_say_where_or_with_what_it_was_taken() -> None:
    content = photograph(place=True)
    assert Image.open(io.BytesIO(content)).getexif().get_ifd(0x8825)
    for rendition in render(content).renditions:
        image = Image.open(io.BytesIO(rendition.content))
        assert not image.getexif()
        assert {"exif", "xmp", "icc_profile"} & image.info.keys() == set()
        assert b"EXIF" not in rendition.content
        assert b"maker" not in rendition.content


@pytest.mark.parametrize("mode", ["CMYK", "L", "1", "P", "I;16", "RGB;alpha", "P;alpha", "LA"])
def test_every_kind_of_colours_becomes_rgb(mode: str) -> None:
    kind, _, alpha = mode.partition(";")
    if mode == "I;16":
        grey = Image.new("I;16", (400, 300), 40_000)
        found = opened(encoded(grey, "PNG"))[0]
        assert is_near(found.getpixel((10, 10)), (156, 156, 156))
    elif alpha or mode == "LA":
        clear = picture(400, 300, "RGBA")
        clear.paste((0, 0, 0, 0), (0, 0, 400, 100))
        content = encoded(clear.convert("LA") if mode == "LA" else clear.quantize() if kind == "P" else clear, "PNG")
        found = opened(content)[0]
        assert is_near(found.getpixel((10, 10)), WHITE), "what is transparent lies on white"
        if mode != "LA":
            assert is_near(left_and_right(found)[1], BLUE)
    else:
        found = opened(encoded(picture(mode=mode), "JPEG" if mode in ("CMYK", "L") else "PNG"))[0]
        if mode in ("CMYK", "P"):
            assert is_near(left_and_right(found)[1], BLUE, by=25)
    assert found.mode == "RGB"


def test_the_colours_of_a_profile_become_those_of_the_web() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_near(left_and_right(opened(encoded(picture(), icc_profile=lab))[0])[0], RED)
    broken = encoded(picture(), icc_profile=b"no profile at all")
    assert is_near(left_and_right(opened(broken)[0])[0], RED)


def test_a_phones_jpeg_with_a_second_picture_in_it_is_its_first() -> None:
    content = encoded(picture(400, 300), "MPO", save_all=True, append_images=[picture(100, 100)])
    assert opened(content)[0].size == (320, 240)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not a JPEG, PNG or WebP"),
        (b"<html><script>alert(1)</script>", "not a JPEG, PNG or WebP"),
        (encoded(FRAMES[0], "GIF"), "not a JPEG, PNG or WebP"),
        (encoded(FRAMES[0], "BMP"), "not a JPEG, PNG or WebP"),
        (encoded(FRAMES[0], "TIFF"), "not a JPEG, PNG or WebP"),
        (b"\xff\xd8\xff" + b"GIF89a" * 20, "not a JPEG, PNG or WebP"),
        (encoded(picture(), "JPEG")[:3000], "damaged or was cut off"),
        (encoded(picture(), "PNG")[:-900], "damaged or was cut off"),
        (encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "animated"),
        (encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "animated"),
        (encoded(picture(99, 500)), "A side needs 100"),
        (encoded(picture(12_100, 100)), "A side may have 12000"),
        (b"\xff\xd8\xff" + bytes(images.MAX_BYTES), "larger than 10 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_shown_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        render(content)


@pytest.mark.parametrize("bomb", [png_bomb(), webp_bomb()], ids=["PNG", "WebP"])
def test_a_bomb_is_refused_before_it_is_unpacked(bomb: bytes) -> None:
    assert len(bomb) < 400_000
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(Unusable, match="40 million"):
        render(bomb)
    assert time.process_time() - began < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB; its pixels take 900,000


GOOD = [encoded(picture(120, 120), kind) for kind in ("JPEG", "PNG", "WEBP")] + [photograph(120, 120, place=True)]


@given(st.sampled_from(GOOD), st.integers(0, 10_000), st.binary(max_size=12), st.booleans())
def test_any_damage_is_a_refusal_or_a_picture(content: bytes, place: int, noise: bytes, is_cut: bool) -> None:
    place %= len(content)
    with contextlib.suppress(Unusable):
        assert render(content[:place] + noise + (b"" if is_cut else content[place + len(noise) :])).renditions

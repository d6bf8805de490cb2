"""From an uploaded file to the renditions that the shop serves, or the reason why the file is refused.

The file is judged by its content, never by its name or media type. The sizes in its header are checked before a pixel
is decoded, since a file of a few kilobytes may decode to gigabytes. The renditions are WebP in sRGB, upright, on white,
and hold no metadata: a photograph's place, camera and thumbnail stay out of them.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from mercato.dataclass import dataclass
from products.images import MAX_BYTES, Size

MAX_PIXELS = 40_000_000
_MAX_SIDE, _MIN_SIDE = 12_000, 100
WIDTHS = (320, 640, 1280)
_FORMATS = ("JPEG", "PNG", "WEBP")
_QUALITY = 80
_SRGB = ImageCms.createProfile("sRGB")


class Unusable(Exception):
    """The file cannot be shown. The text says why, and what to upload instead."""


@dataclass(frozen=True)
class Rendition:
    size: Size
    content: bytes


@dataclass(frozen=True)
class Rendered:
    """`digest` is the digest of the file that was uploaded."""

    digest: str
    renditions: list[Rendition]

    @property
    def sizes(self) -> list[Size]:
        return [rendition.size for rendition in self.renditions]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]


def render(content: bytes) -> Rendered:
    """The renditions from small to large: as wide as WIDTHS, but never wider than the picture. Raises Unusable."""
    picture = _upright(_decoded(content))
    widths = [width for width in WIDTHS if width < picture.width] + [min(picture.width, WIDTHS[-1])]
    renditions, larger = [], picture
    for width in sorted(set(widths), reverse=True):
        height = max(1, round(picture.height * width / picture.width))
        larger = larger.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)
        renditions.append(Rendition(Size(width, height), _encoded(larger)))
    return Rendered(digest_of(content), renditions[::-1])


def _decoded(content: bytes) -> Image.Image:
    if not content:
        raise Unusable("The file is empty.")
    if len(content) > MAX_BYTES:
        raise Unusable(f"The file is larger than {MAX_BYTES // 1024 // 1024} MB.")
    try:
        picture = Image.open(io.BytesIO(content), formats=_FORMATS)
        _check_size(*picture.size)
        # A phone's JPEG may hold a second picture, such as a map of brightness. The first is the photograph.
        if picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False):
            raise Unusable("The picture is animated. Upload a still one.")
        picture.load()
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("The file is not a JPEG, PNG or WebP picture.") from None
    except Image.DecompressionBombError:
        raise Unusable(_too_many_pixels()) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow has no error of its own for a broken file.
        raise Unusable("The file is damaged or was cut off. Upload it again.") from error
    return picture


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unusable(_too_many_pixels(width, height))
    if max(width, height) > _MAX_SIDE:
        raise Unusable(f"The picture has {width} by {height} pixels. A side may have {_MAX_SIDE}.")
    if min(width, height) < _MIN_SIDE:
        raise Unusable(f"The picture has {width} by {height} pixels. A side needs {_MIN_SIDE}.")


def _too_many_pixels(*size: int) -> str:
    has = f"The picture has {size[0]} by {size[1]} pixels" if size else "The picture has too many pixels"
    return f"{has}. It may have {MAX_PIXELS // 1_000_000} million in all."


def _upright(picture: Image.Image) -> Image.Image:
    """In sRGB, turned as its EXIF data says, on white."""
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith("I"):  # 16 bits of grey
        turned = turned.convert("I").point(lambda value: value / 256).convert("L")
    flat = _in_srgb(turned)
    if flat.mode == "RGB":
        return flat
    ground = Image.new("RGB", flat.size, "white")
    ground.paste(flat, mask=flat.getchannel("A"))
    return ground


def _in_srgb(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA for a picture that is transparent in places."""
    has_alpha = picture.has_transparency_data
    profile: Any = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK") and not has_alpha:
        try:
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, found, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a profile that cannot be read is worth no refusal
        if converted is not None:
            return converted
    return picture.convert("RGBA" if has_alpha else "RGB")


def _encoded(picture: Image.Image) -> bytes:
    clean = Image.new("RGB", picture.size)
    clean.paste(picture)  # without what `info` holds
    written = io.BytesIO()
    clean.save(written, "WEBP", quality=_QUALITY, method=4)
    return written.getvalue()

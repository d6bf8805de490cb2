"""Makes valid and invalid picture files for tests, byte by byte where no library writes such a file."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def picture(width: int = 800, height: int = 600, mode: str = "RGB") -> Image.Image:
    """Returns a picture with a red left half and a blue right half, so that a test can detect a rotation."""
    found = Image.new("RGB", (width, height), (200, 30, 30))
    found.paste((30, 30, 200), (width // 2, 0, width, height))
    return found.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def photograph(width: int = 800, height: int = 600, *, orientation: int = 1, place: bool = False) -> bytes:
    """Returns a JPEG with EXIF data: the orientation and, if `place` is True, the GPS position."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A maker of cameras"
    if place:
        exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return encoded(picture(width, height), exif=exif)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int = 25_000, height: int = 25_000) -> bytes:
    """Returns a valid PNG of one colour. The file has a few kilobytes, and its pixels need gigabytes in RGB."""
    packer = zlib.compressobj(1)
    rows = bytes(width // 8 + 1) * 100  # one bit per pixel
    packed = b"".join(packer.compress(rows) for _ in range(height // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def webp_bomb(side: int = 16_383) -> bytes:
    """Returns a complete lossless WebP of one colour. Its five codes have one symbol each, so a pixel takes no bits."""
    header = 0x2F | (side - 1) << 8 | (side - 1) << 22  # no alpha, version 0
    code = 0b0001  # simple, of one symbol, which is one bit long: 0
    codes = sum(code << 4 * number for number in range(5)) << 3  # no transform, no cache, no meta codes
    data = (header | codes << 40).to_bytes(16, "little")
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body

"""The sites' styles, scripts and fonts, at addresses with a digest of them all: a browser keeps them for good."""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path

from mercato.dataclass import dataclass
from mercato.http.response import accepts_gzip
from pages import bundles

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class StaticFile:
    """`compressed` is its Brotli form, which the layer's build makes; empty where there is none. A font is compressed
    already.
    """

    name: str
    media_type: str
    content: bytes
    compressed: bytes

    def encoded(self, accept_encoding: str) -> tuple[bytes, str]:
        """The bytes to send, and their Content-Encoding."""
        accepted = {one.split(";")[0].strip() for one in accept_encoding.lower().split(",") if ";q=0" not in one}
        if self.compressed and "br" in accepted:
            return self.compressed, "br"
        # A browser takes Brotli over HTTPS only, which the local shop does not speak.
        if self.media_type.startswith("text/") and accepts_gzip(accept_encoding):
            return self._gzipped, "gzip"
        return self.content, ""

    @functools.cached_property
    def _gzipped(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


@functools.cache
def _files() -> dict[str, Path]:
    """By name: names are unique over the folders."""
    return {path.name: path for path in bundles.find_in(_FOLDER) if path.suffix in _TYPES}


@functools.cache
def release() -> str:
    """A digest of all files: styles name fonts, so that one cannot be kept without the other."""
    digest = hashlib.sha256()
    for name, path in sorted(_files().items()):
        digest.update(name.encode() + b"\n" + bundles.read(path))
    return digest.hexdigest()[:12]


@functools.cache
def find(name: str) -> StaticFile | None:
    """None where no file has this name."""
    path = _files().get(name)
    if path is None:
        return None
    compressed = path.with_name(f"{name}.br")
    return StaticFile(
        name, _TYPES[path.suffix], bundles.read(path), compressed.read_bytes() if compressed.exists() else b""
    )


def address(name: str) -> str:
    """Raises KeyError: a template names a file that is not there."""
    if name not in _files():
        raise KeyError(name)
    return f"/static/{release()}/{name}"

"""Static files as browsers get them. A folder with a script's name is one script, its files by name in order:
pages that need all of them make one request.

The layer's Makefile reads the files with this module, too, and writes the Brotli form of each beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def find_in(folder: Path) -> Iterator[Path]:
    """All static files below `folder`. Of a script that is a folder, the folder."""
    return (
        path for path in folder.rglob("*") if path.parent.suffix != ".js" and (path.suffix == ".js" or path.is_file())
    )


def read(path: Path) -> bytes:
    # A semicolon, because a minified file may end without one.
    return b";\n".join(part.read_bytes() for part in sorted(path.iterdir())) if path.is_dir() else path.read_bytes()

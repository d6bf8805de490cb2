"""A backup on disk: one directory with a manifest and the items of each table.

Each file holds items of one table, one a line, as gzip: {"Item": {"pk": {"S": "…"}, …}}, which is DynamoDB's own
JSON and the format of its exports and imports (DYNAMODB_JSON). A binary value is base64. Sets are sorted, so that equal
items are equal lines.

The directory gets its name only when it is complete. Its manifest has the SHA-256 of each file. It holds customers'
data, so only its owner may read it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.trouble import Trouble

FORMAT = 1
_MANIFEST = "manifest.json"
_AGAIN = "Take another backup. This one cannot be restored."

Attribute = Mapping[str, Any]
Item = Mapping[str, Attribute]  # as botocore's client has it


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class File(_Record):
    name: str
    sha256: str
    items: int


class TableFiles(_Record):
    """`path` has the table's logical ids; `keys` are the names of its key attributes."""

    path: str
    keys: tuple[str, ...]
    files: tuple[File, ...]

    @property
    def items(self) -> int:
        return sum(file.items for file in self.files)


class Manifest(_Record):
    """`is_quiet`: nothing changed in the shop while the backup was taken, so that its tables agree with each other."""

    format: int
    shop: str
    region: str
    release: str
    begun_at: datetime
    ended_at: datetime
    is_quiet: bool
    tables: tuple[TableFiles, ...]

    @property
    def items(self) -> int:
        return sum(table.items for table in self.tables)


def encode(item: Item) -> bytes:
    """The line of an item, without its end."""
    plain = {"Item": {name: _to_json(value) for name, value in item.items()}}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode(line: bytes) -> Item:
    return {name: _from_json(value) for name, value in json.loads(line)["Item"].items()}


def _to_json(attribute: Attribute) -> Attribute:
    ((kind, value),) = attribute.items()
    match kind:
        case "B":
            return {kind: base64.b64encode(value).decode()}
        case "BS":
            return {kind: sorted(base64.b64encode(one).decode() for one in value)}
        case "SS" | "NS":
            return {kind: sorted(value)}
        case "L":
            return {kind: [_to_json(one) for one in value]}
        case "M":
            return {kind: {name: _to_json(one) for name, one in value.items()}}
    return attribute


def _from_json(attribute: Attribute) -> Attribute:
    ((kind, value),) = attribute.items()
    match kind:
        case "B":
            return {kind: base64.b64decode(value)}
        case "BS":
            return {kind: [base64.b64decode(one) for one in value]}
        case "L":
            return {kind: [_from_json(one) for one in value]}
        case "M":
            return {kind: {name: _from_json(one) for name, one in value.items()}}
    return attribute


class Writer:
    """Writes one file of a backup."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name
        self._items = 0
        self._file = gzip.GzipFile(self._path, "xb", mtime=0)
        self._path.chmod(0o600)

    def write(self, item: Item) -> None:
        self._file.write(encode(item) + b"\n")
        self._items += 1

    def close(self) -> File:
        self._file.close()
        with self._path.open("rb") as written:
            os.fsync(written.fileno())
            digest = hashlib.file_digest(written, "sha256")
        return File(name=self._path.name, sha256=digest.hexdigest(), items=self._items)


@contextmanager
def draft(directory: Path) -> Iterator[Path]:
    """A directory beside the wanted one, that takes its name at the end. It is removed if the backup fails. Raises
    Trouble if there is something of that name.
    """
    if directory.exists():
        raise Trouble(f"{directory} exists already", "Name a directory that does not exist. A backup overwrites none.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    drafted = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield drafted
        drafted.rename(directory)
    finally:
        shutil.rmtree(drafted, ignore_errors=True)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    path = directory / _MANIFEST
    path.touch(mode=0o600)
    path.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """Raises Trouble if the directory is no complete backup, or one that this release cannot read."""
    try:
        text = (directory / _MANIFEST).read_text(encoding="utf-8")
    except OSError as error:
        raise Trouble(
            f"{directory} is no backup: {_MANIFEST} cannot be read ({error.strerror})",
            "A backup that was interrupted leaves none. Name the directory of a complete one.",
        ) from None
    try:
        found = json.loads(text)
        version = found["format"]
        manifest = Manifest.model_validate(found) if version == FORMAT else None
    except (ValueError, KeyError, TypeError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise Trouble(f"{directory / _MANIFEST} is damaged: {what}", _AGAIN) from None
    if manifest is None:
        raise Trouble(
            f"{directory} has the format {version}, and this release reads {FORMAT}",
            "Restore it from a checkout of the release that took it (`release` in the manifest).",
        )
    return manifest


def check(directory: Path, manifest: Manifest) -> None:
    """Raises Trouble if a file is missing or differs from what was written."""
    for table in manifest.tables:
        for file in table.files:
            try:
                with (directory / file.name).open("rb") as found:
                    sha256 = hashlib.file_digest(found, "sha256").hexdigest()
            except OSError as error:
                raise Trouble(f"{directory / file.name} cannot be read ({error.strerror})", _AGAIN) from None
            if sha256 != file.sha256:
                raise Trouble(f"{directory / file.name} is damaged: its SHA-256 is not that of the manifest", _AGAIN)


def read_items(directory: Path, file: File) -> Iterator[Item]:
    with gzip.open(directory / file.name, "rb") as lines:
        for line in lines:
            yield decode(line)

"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from documents.store import DocumentStore
from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table

if TYPE_CHECKING:
    from documents.files import Files
    from documents.orders import Orders


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class FileSettings:
    """Of the functions that write or show files."""

    documents_bucket: str


class Ports:
    @functools.cached_property
    def documents(self) -> DocumentStore:
        return DocumentStore(Table(load(Settings).table_name))

    @functools.cached_property
    def files(self) -> Files:
        from documents.files import Files

        return Files(load(FileSettings).documents_bucket)

    @functools.cached_property
    def orders(self) -> Orders:
        from documents.orders import Orders
        from mercato.peers.peer import peer

        return Orders(peer("orders"))


@functools.cache
def ports() -> Ports:
    return Ports()

"""Consumes `document.issued`: writes the document's PDF into the bucket, then notes that it is there.

Idempotent: the bytes follow from the document alone, so a run that died in between, or a duplicate, puts the same file.
"""

from __future__ import annotations

from documents import usecases
from documents.wiring import ports
from mercato.events import Event, Reads
from mercato.events.consumer import Consumer

consumer = Consumer("documents-pdf")
handler = consumer.handler


class DocumentIssued(Reads):
    document_id: str


@consumer.on("document.issued")
def render_document(_event: Event, data: DocumentIssued) -> None:
    from documents.render import render

    usecases.keep_pdf(data.document_id, render, ports().files, ports().documents)

"""The PDF of a document: made by its event, kept once, and given to its customer by a short-lived address."""

from __future__ import annotations

from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from documents import domain
from documents.files import Files
from documents.store import DocumentStore
from mercato import aws
from tests.integration.documents.conftest import BUCKET, Desk

INVOICE = domain.invoice_id_of("pay-order-1")


@pytest.fixture
def issued(desk: Desk) -> Desk:
    desk.ordered()
    assert desk.pay() == []
    return desk


def test_the_file_is_made_once_however_often_its_event_comes(issued: Desk) -> None:
    assert issued.draw(INVOICE) == []
    first = issued.files()
    assert issued.draw(INVOICE) == []
    assert issued.files() == first
    assert first.keys() == {f"documents/{INVOICE}.pdf"}
    assert first[f"documents/{INVOICE}.pdf"].startswith(b"%PDF-")
    head = boto3.client("s3", "us-east-1").head_object(Bucket=BUCKET, Key=f"documents/{INVOICE}.pdf")
    assert head["ContentType"] == "application/pdf"


def test_until_it_is_made_there_is_a_conflict_and_then_an_address(issued: Desk) -> None:
    status, problem, _ = issued.call("GET", f"/api/documents/{INVOICE}/pdf")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:pdf-not-ready")
    issued.draw(INVOICE)
    status, link, _ = issued.call("GET", f"/api/documents/{INVOICE}/pdf")
    assert status == 200
    url = httpx.URL(link["url"])
    assert url.path.endswith(f"documents/{INVOICE}.pdf")
    assert url.params["response-content-disposition"] == 'inline; filename="INV-2026-000001.pdf"'
    assert link["expires_at"] == "2026-11-22T12:05:00.002Z"


def test_anothers_file_is_not_found(issued: Desk) -> None:
    issued.draw(INVOICE)
    assert issued.call("GET", f"/api/documents/{INVOICE}/pdf", user="cust-2")[0] == 404
    assert issued.call("GET", f"/api/documents/{INVOICE}/pdf", user="boss", role="admin")[0] == 200


def test_a_run_that_dies_before_its_note_is_completed_by_the_next(
    issued: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        """The process ends here."""

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(issued.store, "note_pdf", die)
        with pytest.raises(Died):
            issued.draw(INVOICE)
    assert issued.call("GET", f"/api/documents/{INVOICE}/pdf")[0] == 409
    before = issued.files()
    assert issued.draw(INVOICE) == []
    assert issued.files() == before
    assert issued.call("GET", f"/api/documents/{INVOICE}/pdf")[0] == 200


def test_a_bucket_that_does_not_answer_is_tried_again(issued: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, "PutObject")

    with monkeypatch.context() as slow:
        slow.setattr(aws.client("s3"), "put_object", refuse)
        assert issued.draw(INVOICE) != []
    assert issued.draw(INVOICE) == []
    assert len(issued.files()) == 1


def test_an_event_of_no_document_is_a_dead_letter(desk: Desk) -> None:
    boto3.client("sqs", "us-east-1").create_queue(QueueName="mercato-documents-pdf-dlq")
    assert desk.draw("nothing") == []
    assert desk.files() == {}


class Ended(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("owner", [Files, DocumentStore], ids=["file", "note"])
@pytest.mark.parametrize("has_effect", [False, True])
def test_twice_at_once_and_dying_in_the_middle_there_is_one_document_of_one_number_with_one_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, owner: type, has_effect: bool
) -> None:
    """Both events come twice. A second renderer runs within the first one, which dies at its file or at its note."""
    desk.ordered()
    assert [desk.pay(), desk.pay()] == [[], []]
    name = "keep" if owner is Files else "note_pdf"
    genuine = getattr(owner, name)

    def die(*arguments: Any) -> None:
        monkeypatch.setattr(owner, name, genuine)
        assert desk.draw(INVOICE) == []
        if has_effect:
            genuine(*arguments)
        raise Ended

    monkeypatch.setattr(owner, name, die)
    with pytest.raises(Ended):
        desk.draw(INVOICE)
    first = desk.files()
    assert [desk.draw(INVOICE), desk.pay()] == [[], []]

    assert first.keys() == {f"documents/{INVOICE}.pdf"}
    assert desk.files() == first
    assert [(one.document_id, one.number) for one in desk.documents()] == [(INVOICE, "INV-2026-000001")]
    assert desk.numbers("INV-2026") == [1]
    assert len(desk.events(INVOICE)) == 1

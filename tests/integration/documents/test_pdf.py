"""The PDF of a document: made by its event, kept once, and given to its customer by a short-lived address."""

from __future__ import annotations

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from documents import domain
from mercato import aws
from tests.integration.documents.conftest import BUCKET, Desk

INVOICE = domain.invoice_id_of("pay-order-1")


def stored() -> dict[str, bytes]:
    s3 = boto3.client("s3", "us-east-1")
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}


@pytest.fixture
def issued(desk: Desk) -> Desk:
    desk.ordered()
    assert desk.pay() == []
    return desk


def test_the_file_is_made_once_however_often_its_event_comes(issued: Desk) -> None:
    assert issued.draw(INVOICE) == []
    first = stored()
    assert issued.draw(INVOICE) == []
    assert stored() == first
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
    before = stored()
    assert issued.draw(INVOICE) == []
    assert stored() == before
    assert issued.call("GET", f"/api/documents/{INVOICE}/pdf")[0] == 200


def test_a_bucket_that_does_not_answer_is_tried_again(issued: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, "PutObject")

    with monkeypatch.context() as slow:
        slow.setattr(aws.client("s3"), "put_object", refuse)
        assert issued.draw(INVOICE) != []
    assert issued.draw(INVOICE) == []
    assert len(stored()) == 1


def test_an_event_of_no_document_is_a_dead_letter(desk: Desk) -> None:
    boto3.client("sqs", "us-east-1").create_queue(QueueName="mercato-documents-pdf-dlq")
    assert desk.draw("nothing") == []
    assert stored() == {}

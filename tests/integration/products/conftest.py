"""The products service in a separate cloud: requests and messages in, responses, items and events out."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from mercato.store.dynamo import Table
from products import api, consumers, scaler
from tests.kit import aws_events
from tests.kit.given import published
from tests.kit.picture_files import photograph

BUCKET = "media-bucket"


class ProductsService:
    def __init__(self, table: Table, dlq_url: str) -> None:
        self.table = table
        self.dlq_url = dlq_url

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "admin",
        query: dict[str, str] | None = None,
        key: str | None = "",
    ) -> tuple[int, Any]:
        """Calls through the gateway as a user with this role. None is the public. Each request has a new idempotency
        key.
        """
        key = str(uuid.uuid4()) if key == "" else key
        headers = {"X-Request-Id": "request-12345"} | ({"Idempotency-Key": key} if key else {})
        user = "user-1" if role else None
        return self._answer(
            aws_events.rest_request(
                method, f"/api/products{path}", body, user=user, role=role, headers=headers, query=query
            )
        )

    def call_as_peer(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Calls through the function URL, as a peer's signature identifies it."""
        return self._answer(aws_events.url_request(method, f"/api/products{path}", body, peer="carts"))

    def add(self, sku: str = "85123A", name: str = "White hanging heart", price: int = 255, **fields: Any) -> Any:
        body = {"sku": sku, "name": name, "price": {"amount": price, "currency": "GBP"}} | fields
        status, product = self.call("POST", "", body)
        assert status == 201, product
        return product

    def skus(self, **query: str) -> list[str]:
        """The skus of a list that has one page."""
        status, page = self.call("GET", "", role=None, query=query)
        assert (status, page["next_cursor"]) == (200, None), page
        return [item["sku"] for item in page["items"]]

    def all_skus(self, **query: str) -> tuple[list[str], int]:
        """The skus of all pages, and the number of pages."""
        skus: list[str] = []
        for pages in range(1, 100):
            status, page = self.call("GET", "", role=None, query=query)
            assert status == 200, page
            skus += [item["sku"] for item in page["items"]]
            if page["next_cursor"] is None:
                return skus, pages
            query["cursor"] = page["next_cursor"]
        raise AssertionError("the list never ends")

    def await_image(self, product_id: str, alt: str | None = "A white heart") -> str:
        """Makes a picture of the product whose file is not uploaded yet. Returns its id."""
        assert self.s3  # the bucket
        status, image = self.call("POST", f"/images/{product_id}", {"alt": alt})
        assert status == 201, image
        return str(image["id"])

    def add_image(self, content: bytes | None = None, product_id: str = "", **about: Any) -> tuple[str, str]:
        """Makes a product with a picture that is ready, or refused if its file is invalid. Returns both ids."""
        product_id = product_id or str(self.add()["product_id"])
        image_id = self.await_image(product_id, **about)
        self.upload(product_id, image_id, content or photograph())
        assert self.scale(product_id, image_id) == {"batchItemFailures": []}
        return product_id, image_id

    def upload(self, product_id: str, image_id: str, content: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"uploads/{product_id}/{image_id}", Body=content)

    def scale(self, product_id: str, image_id: str) -> Any:
        """Delivers S3's event of the upload through its queue."""
        event = aws_events.object_created(BUCKET, f"uploads/{product_id}/{image_id}")
        return self.handle_upload(aws_events.records(aws_events.sqs_record(event, "shop-products-uploads")))

    @staticmethod
    def handle_upload(batch: dict[str, Any]) -> Any:
        return scaler.handler(batch, None)

    @functools.cached_property
    def s3(self) -> Any:
        client = boto3.client("s3", "us-east-1")
        client.create_bucket(Bucket=BUCKET)
        return client

    def files(self) -> list[str]:
        """The keys in the bucket."""
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def image(self, product_id: str, image_id: str) -> Any:
        """The picture as staff see it, or None."""
        status, found = self.call("GET", f"/images/{product_id}/{image_id}")
        return found if status == 200 else None

    def deliver(self, event_type: str, subject: str, data: dict[str, Any], sequence: int) -> Any:
        """Delivers one event through the queue."""
        event = published(event_type, subject, data, id=f"{event_type}-{subject}-{sequence}", sequence=str(sequence))
        return consumers.handler(aws_events.records(aws_events.bus_record(event, "products")), None)

    def dead_letters(self) -> list[str]:
        """The reasons of the dead letters."""
        answer = boto3.client("sqs", "us-east-1").receive_message(
            QueueUrl=self.dlq_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [message["MessageAttributes"]["reason"]["StringValue"] for message in answer.get("Messages", [])]

    def items(self) -> list[dict[str, Any]]:
        """Every item of the table, as DynamoDB stores it."""
        found: list[dict[str, Any]] = boto3.client("dynamodb", "us-east-1").scan(TableName=self.table.name)["Items"]
        return found

    def keys(self, prefix: str) -> set[tuple[str, str]]:
        return {(item["pk"]["S"], item["sk"]["S"]) for item in self.items() if item["pk"]["S"].startswith(prefix)}

    def events(self, product_id: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Sequence, type and data of the product's events, in order."""
        records = self.table.query(f"OUTBOX#{product_id}").items
        found = [json.loads(record["event"]) for record in records]
        return [(int(event["sequence"]), event["type"], event["data"]) for event in found]

    @staticmethod
    def _answer(event: dict[str, Any]) -> tuple[int, Any]:
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None


@pytest.fixture
def service(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> ProductsService:
    table = make_table("ProductsTable")
    dlq_url = boto3.client("sqs", "us-east-1").create_queue(QueueName="products-dlq")["QueueUrl"]
    monkeypatch.setenv("TABLE_NAME", table.name)
    monkeypatch.setenv("DLQ_URL", dlq_url)
    monkeypatch.setenv("MEDIA_BUCKET", BUCKET)
    monkeypatch.setenv("CONSOLE_URL", "https://console.example")
    return ProductsService(table, dlq_url)

"""A usual function with Powertools: the yardstick of bench_import.py, not a part of the shop."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent
from pydantic import BaseModel

dynamodb = boto3.client("dynamodb")
logger = Logger(service="orders")
tracer = Tracer(service="orders")
metrics = Metrics(namespace="shop", service="orders")
app = APIGatewayRestResolver(enable_validation=True)
once = DynamoDBPersistenceLayer(table_name="idempotency", boto3_client=dynamodb)


class Line(BaseModel):
    product_id: str
    quantity: int


class Order(BaseModel):
    order_id: str
    lines: list[Line]


@app.post("/orders")
@tracer.capture_method
def place_order(order: Order) -> Order:
    return order


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@idempotent(config=IdempotencyConfig(event_key_jmespath="headers.key"), persistence_store=once)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return app.resolve(event, context)

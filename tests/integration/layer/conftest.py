"""A table with the keys that every service's table has; the layer itself knows no template."""

from __future__ import annotations

import boto3
import pytest

from mercato.dynamo import Table


@pytest.fixture
def table(cloud: None) -> Table:
    names = ("pk", "sk", "gsi1pk", "gsi1sk")
    boto3.client("dynamodb", "us-east-1").create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "gsi1",
                "KeySchema": [
                    {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                    {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return Table("things", sleep=lambda _: None)

"""Whose address counts where CloudFront is in front of a site: the visitor's, if the edge shows its key."""

from __future__ import annotations

import logging

import boto3
import pytest

from pages.security import Visitors
from tests.kit import aws_events

EDGE, VISITOR, KEY = "130.176.1.1", "203.0.113.9", "the-edge-s-key"


@pytest.fixture
def key_id(cloud: None) -> str:
    created: str = boto3.client("secretsmanager", "us-east-1").create_secret(Name="edge", SecretString=KEY)["ARN"]
    return created


def address(visitors: Visitors, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return visitors.address(aws_events.http_api_request("GET", "/", headers=sent, source=EDGE), sent)


def test_the_edge_states_the_visitor_s_address(key_id: str) -> None:
    assert address(Visitors(key_id), x_viewer_address=VISITOR, x_edge_key=KEY) == VISITOR


@pytest.mark.parametrize("shown", ["", "another", KEY + "x", KEY[:-1], "schlüssel"])
def test_a_client_that_states_an_address_itself_is_counted_by_its_own(key_id: str, shown: str) -> None:
    assert address(Visitors(key_id), x_viewer_address=VISITOR, x_edge_key=shown) == EDGE


def test_without_an_edge_no_header_has_a_say() -> None:
    assert address(Visitors(""), x_viewer_address=VISITOR, x_edge_key="") == EDGE
    assert address(Visitors(""), x_viewer_address=VISITOR, x_edge_key=KEY) == EDGE


def test_an_edge_that_states_no_address_is_counted_itself(key_id: str) -> None:
    assert address(Visitors(key_id), x_edge_key=KEY) == EDGE


def test_where_the_key_cannot_be_read_the_page_comes_and_the_log_says_so(
    key_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    boto3.client("secretsmanager", "us-east-1").delete_secret(SecretId=key_id, ForceDeleteWithoutRecovery=True)
    with caplog.at_level(logging.ERROR):
        assert address(Visitors(key_id), x_viewer_address=VISITOR, x_edge_key=KEY) == EDGE
    assert "visitors are counted by the address of their edge" in caplog.text

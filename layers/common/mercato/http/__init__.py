"""HTTP for a service: routes with typed parameters, authorization, rate limits, audit, problem documents."""

from mercato.http.app import ADMIN, CUSTOMER, MAX_ID, PEER, PUBLIC, App, Route
from mercato.http.rate_limit import UNLIMITED, Limit
from mercato.http.request import (
    MAX_BODY,
    MAX_DEPTH,
    Body,
    Cursor,
    IdempotencyKey,
    InvalidIdempotencyKey,
    InvalidRequest,
    Query,
    RawBody,
    Request,
    SourceAddress,
    read_body,
)
from mercato.http.response import Accepted, Created, Document, NoContent, Response, View, replayed

__all__ = [
    "ADMIN",
    "CUSTOMER",
    "MAX_BODY",
    "MAX_DEPTH",
    "MAX_ID",
    "PEER",
    "PUBLIC",
    "UNLIMITED",
    "Accepted",
    "App",
    "Body",
    "Created",
    "Cursor",
    "Document",
    "IdempotencyKey",
    "InvalidIdempotencyKey",
    "InvalidRequest",
    "Limit",
    "NoContent",
    "Query",
    "RawBody",
    "Request",
    "Response",
    "Route",
    "SourceAddress",
    "View",
    "read_body",
    "replayed",
]

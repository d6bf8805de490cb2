"""Reads HTTP input: the event as a request, its body and query as models. Every problem is a 4xx that names it."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from mercato import webhooks
from mercato.dataclass import dataclass
from mercato.errors import DomainError, Invalid, Malformed, TooLarge, UnsupportedMediaType
from mercato.http import admission, charsets
from mercato.http.auth import ANONYMOUS, Caller, caller_of
from mercato.http.validation import describe

SOURCE_ADDRESS = "x-source-address"  # of the visitor for whom a peer calls; from anyone else it does not count
MAX_BODY = 256 * 1024
MAX_HEADERS = 10_240  # as API Gateway: names and values together
MAX_DEPTH = 32
MAX_NUMBER = 64  # characters
MAX_EXPONENT = 999
_LONGEST = 18  # digits of a number that may be an integer field
_EXPONENT = re.compile(r"[eE][+-]?0*([0-9]*)$")


class Body(BaseModel):
    """The JSON body of a request: unknown fields are refused, and types are not guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Query(BaseModel):
    """The query string of a request. Unknown parameters are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class InvalidIdempotencyKey(Malformed):
    """The Idempotency-Key header is missing or cannot be read."""


class HeadersTooLarge(DomainError):
    """The headers together are larger than the limit."""


class InvalidRequest(Invalid):
    """A field is missing, unknown, or of the wrong type or size."""


class IdempotencyKey(str):
    """The Idempotency-Key header: 1 to 128 printable ASCII characters, as a quoted string (IETF draft) or bare."""

    @classmethod
    def read(cls, header: str | None) -> Self:
        if header is None:
            raise InvalidIdempotencyKey("This request needs an Idempotency-Key header, so that a retry is safe.")
        text = header.strip()
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if not re.fullmatch(r"[\x21\x23-\x7e]{1,128}", text):
            raise InvalidIdempotencyKey(
                "Idempotency-Key must be 1 to 128 printable ASCII characters without spaces or quotes."
            )
        return cls(text)


class SourceAddress(str):
    """The network address that API Gateway saw. X-Forwarded-For and similar headers are ignored."""


# The form that encode_cursor of mercato.store.cursor returns.
Cursor = Annotated[str, Field(max_length=2048, pattern=r"^[A-Za-z0-9_-]*$")]


def _as_day(given: Any) -> Any:
    """pydantic would read digits alone as seconds since 1970."""
    if isinstance(given, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
        raise PydanticCustomError("day", "is not a day such as 2026-11-28")
    return given


# A day in a query, in RFC 3339's form.
Day = Annotated[date, BeforeValidator(_as_day)]


def _with_utc(given: datetime) -> datetime:
    """The years 1 and 9999 end earlier, or begin later, at another offset than in UTC, in which times are stored."""
    try:
        given.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "is before the year 1 or after the year 9999 in UTC") from None
    return given


# A time with an offset, in a body or a query.
Moment = Annotated[AwareDatetime, AfterValidator(_with_utc)]


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed, which is not supported."""


class RawBody(bytes):
    """The unparsed body, for formats other than JSON. A subclass names its media type and has an example.

    `charset` is the declared charset in the form of mercato.http.charsets; None if the request declares none.
    """

    media_type = "application/octet-stream"
    example = ""
    charset: str | None = None

    @classmethod
    def read(cls, body: bytes, headers: Mapping[str, str]) -> Self:
        """Raises UnsupportedCharset."""
        found = cls(body)
        found.charset = charsets.declared(headers.get("content-type"))
        return found

    def text(self) -> str:
        """Decodes by the byte order mark, else the declared charset, else UTF-8. Raises Malformed."""
        return charsets.decode_file(self, self.charset)


class SignedBody[M: BaseModel]:
    """The body of a webhook, to be read as `M`. `verified_by` checks the signature before anything reads the body."""

    def __init__(self, model: type[M], headers: Mapping[str, str], body: bytes) -> None:
        self._model, self._headers, self._body = model, headers, body

    def verified_by(self, verify: Callable[[Mapping[str, str], bytes], None]) -> M:
        """`verify` gets the headers, by name in lower case, and the body, and raises if the signature is wrong."""
        verify(self._headers, self._body)
        return read_body(self._model, self._body)


class Webhook[M: BaseModel](SignedBody[M]):
    """A body signed as in mercato.webhooks."""

    def verified(self, secret: str, now: datetime) -> M:
        """Raises InvalidSignature."""
        return self.verified_by(lambda headers, body: webhooks.verify(secret, headers, body, now))


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    caller: Caller = ANONYMOUS
    source_ip: str = ""
    path_parameters: dict[str, str] = field(default_factory=dict)


def headers_of(event: dict[str, Any]) -> dict[str, str]:
    """By name in lower case. Repeated lines of a header are joined by commas (RFC 9110, 5.3).

    A REST API's event has only the last line in `headers`, and all in `multiValueHeaders`; a function URL joins them
    itself.
    """
    single = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    lines = (event.get("multiValueHeaders") or {}).items()
    return single | {name.lower(): ", ".join(values) for name, values in lines}


def base_of(event: dict[str, Any]) -> str:
    """The part of the client's URL in front of the path: a REST API's stage, such as /prod.

    Empty under a custom domain and at a function URL.
    """
    whole, path = (event.get("requestContext") or {}).get("path") or "", event.get("path") or ""
    return whole.removesuffix(path) if path and whole.endswith(path) else ""


def read_request(event: dict[str, Any], headers: dict[str, str]) -> Request:
    size = sum(len(name) + len(value) for name, value in headers.items())
    if size > MAX_HEADERS:
        raise HeadersTooLarge(f"The headers are {size} bytes; {MAX_HEADERS} is the most.", limit=MAX_HEADERS)
    context = event.get("requestContext") or {}
    if event.get("version") == "2.0":
        method, path = context["http"]["method"], event.get("rawPath") or "/"
        if admission.is_from_ingress(event):
            path = admission.path_of(event)
        query = parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)
        source_ip = context["http"].get("sourceIp", "")
    else:
        method, path = event["httpMethod"], event["path"]
        multi = event.get("multiValueQueryStringParameters") or {
            name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
        }
        query = [(name, value) for name, values in multi.items() for value in values]
        source_ip = (context.get("identity") or {}).get("sourceIp", "")
    if len({name for name, _ in query}) != len(query):
        raise InvalidRequest("A query parameter may be given once.")
    body = _bytes_of(event.get("body") or "", is_base64=bool(event.get("isBase64Encoded")))
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if body and encoding not in ("", "identity"):
        raise UnsupportedEncoding(f"A body in the Content-Encoding {encoding[:40]!r} is not taken; send it as it is.")
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body is {len(body)} bytes; {MAX_BODY} is the most.", limit=MAX_BODY)
    path = path.rstrip("/") or "/"
    caller = caller_of(event)
    if caller.is_peer:  # it may speak for a visitor of a page, whose address it has from API Gateway
        source_ip = headers.get(SOURCE_ADDRESS, source_ip)
    return Request(method, path, headers, dict(query), body, caller, source_ip)


def _bytes_of(text: str, *, is_base64: bool) -> bytes:
    """The sent bytes. Text was decoded before, with U+FFFD in place of invalid UTF-8."""
    replaced = -1 if is_base64 else text.find("\ufffd")
    try:
        if replaced >= 0:
            raise Malformed(f"The body is not UTF-8: byte {len(text[:replaced].encode())} cannot be read.")
        return base64.b64decode(text, validate=True) if is_base64 else text.encode()
    except ValueError:
        raise Malformed("The body cannot be decoded.") from None


def read_query(model: type[Query], query: dict[str, str]) -> Query:
    return _validate(lambda: model.model_validate(query), "query")


def read_body[M: BaseModel](model: type[M], body: bytes, content_type: str | None = None) -> M:
    """Parses the JSON body. For routes that need the raw bytes first, such as signed webhooks."""
    readable = _check_json(charsets.decode(body, charsets.declared(content_type) or charsets.UTF_8))
    return _validate(lambda: model.model_validate_json(readable), "body")


def _check_json(text: str) -> bytes:
    """Checks syntax (400) apart from content (422), which pydantic would mix. Checks depth before anything recurses.

    Returns the JSON with whole numbers as integers, however they were written: for JSON Schema, 2.0 is one.
    """
    body = text.encode()
    if not body:
        raise Malformed("This request needs a JSON body.")
    depth, in_string, escaped = 0, False, False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Malformed(f"The JSON is nested more than {MAX_DEPTH} deep.")
        elif byte in b"]}":
            depth -= 1
    rewritten: list[int] = []

    def read_integer(text: str) -> int:
        _check_number(text)
        return int(text)

    def read_number(text: str) -> int | float:
        _check_number(text)
        number = Decimal(text)
        if (number and number.adjusted() > _LONGEST) or number != number.to_integral_value():
            return float(text)
        rewritten.append(int(number))
        return rewritten[-1]

    try:
        parsed = json.loads(text, parse_constant=_refuse_constant, parse_float=read_number, parse_int=read_integer)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The body is not valid JSON: {error}") from None
    return json.dumps(parsed).encode() if rewritten else body


def _check_number(text: str) -> None:
    """Refuses numbers that Python or Decimal would refuse with errors of their own."""
    exponent = _EXPONENT.search(text)
    if len(text) > MAX_NUMBER or (exponent and len(exponent[1]) > len(str(MAX_EXPONENT))):
        raise ValueError(f"a number has at most {MAX_NUMBER} characters, and an exponent of at most {MAX_EXPONENT}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _validate[T](parse: Callable[[], T], where: str) -> T:
    try:
        return parse()
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)[:20]
        if errors[0]["type"] == "json_invalid":  # such as a lone surrogate, which json.loads lets through
            raise Malformed(f"The body is not valid JSON: {errors[0]['msg']}") from None
        problems = [
            {"field": ".".join(str(part) for part in found["loc"]) or where, "message": describe(found)}
            for found in errors
        ]
        first = problems[0]
        raise InvalidRequest(f"{first['field']} {first['message']}.", errors=problems) from None

"""A body is text in the charset that its sender declares, else UTF-8. A byte that is no text in it is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.errors import Malformed
from mercato.http import RawBody, charsets
from mercato.http.charsets import UnsupportedCharset
from tests.unit.layer.things import call

NAME = "Jörgs Käse"


def post(name: str, codec: str, content_type: str | None) -> tuple[int, Any]:
    """A POST whose body API Gateway passes as bytes."""
    body = base64.b64encode(json.dumps({"value": name}, ensure_ascii=False).encode(codec)).decode()
    headers = {"Content-Type": content_type} if content_type else {}
    status, answer, _ = call("POST", "/api/anything", body=body, isBase64Encoded=True, headers=headers)
    return status, answer


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, "utf-8"),
        ("application/json", "utf-8"),
        ("application/json; charset=utf-8", "utf-8"),
        ('application/json;charset="UTF8"', "utf-8"),
        ("application/json; charset=ISO-8859-1", "latin-1"),
        ("application/json ; charset = latin1", "latin-1"),
        ("application/json; charset=windows-1252; v=1", "cp1252"),
        ("application/json; charset=iso-8859-15", "iso8859-15"),
        ("application/json; charset=utf-16", "utf-16"),
        ("application/json; charset=utf-16le", "utf-16-le"),
    ],
)
def test_a_json_body_is_read_in_its_declared_charset_else_as_utf_8(content_type: str | None, codec: str) -> None:
    assert post(NAME, codec, content_type) == (200, {"value": NAME})


@pytest.mark.parametrize("codec", ["latin-1", "cp1252"])
@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8"])
def test_what_is_not_utf_8_is_refused_by_encoding_and_byte(content_type: str | None, codec: str) -> None:
    status, problem = post(NAME, codec, content_type)

    assert (status, problem["type"]) == (400, "urn:mercato:problem:malformed")
    assert "not UTF-8: byte 12 (0xf6)" in problem["detail"]


def test_a_byte_that_the_declared_charset_does_not_have_is_refused() -> None:
    body = base64.b64encode(b'{"value": "\x81"}').decode()
    headers = {"Content-Type": "application/json; charset=windows-1252"}
    status, problem, _ = call("POST", "/api/anything", body=body, isBase64Encoded=True, headers=headers)

    assert status == 400
    assert "not WINDOWS-1252: byte 11 (0x81)" in problem["detail"]


@pytest.mark.parametrize("label", ["shift_jis", "utf-7", "utf-32", "klingon", "rot13", "idna", "é", "x" * 500])
def test_a_charset_that_is_not_taken_is_415_and_the_answer_names_those_that_are(label: str) -> None:
    status, problem = post(NAME, "utf-8", f"application/json; charset={label}")

    assert (status, problem["type"]) == (415, "urn:mercato:problem:unsupported-charset")
    assert "windows-1252" in problem["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_415(encoding: str) -> None:
    status, problem, _ = call("POST", "/api/anything", body="{}", headers={"Content-Encoding": encoding})
    assert (status, problem["type"]) == (415, "urn:mercato:problem:unsupported-encoding")


def test_a_body_in_no_encoding_is_taken_as_it_is() -> None:
    for encoding in ("identity", "Identity", " ", ""):
        assert call("POST", "/api/anything", body='{"value": 1}', headers={"Content-Encoding": encoding})[0] == 200
    assert call("GET", "/api/things", headers={"Content-Encoding": "gzip"})[0] == 200


def test_bytes_that_were_replaced_before_they_came_here_are_refused() -> None:
    """A body that was decoded as text on the way has U+FFFD where it was not UTF-8. The sent bytes are lost."""
    body = json.dumps({"value": NAME}, ensure_ascii=False).encode("latin-1").decode(errors="replace")
    status, problem, _ = call("POST", "/api/anything", body=body)

    assert (status, problem["type"]) == (400, "urn:mercato:problem:malformed")
    assert "byte 12" in problem["detail"]


def test_a_replacement_character_that_was_sent_as_such_is_a_character() -> None:
    assert post("a\ufffdb", "utf-8", None) == (200, {"value": "a\ufffdb"})


class Csv(RawBody):
    media_type = "text/csv"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (NAME.encode(), "text/csv"),
        (NAME.encode(), None),
        (NAME.encode("utf-8-sig"), "text/csv"),
        (NAME.encode("utf-8-sig"), "text/csv; charset=windows-1252"),
        (NAME.encode("cp1252"), "text/csv; charset=windows-1252"),
        (NAME.encode("utf-16"), "text/csv"),
        (b"\xfe\xff" + NAME.encode("utf-16-be"), "text/csv"),
        (NAME.encode("utf-16-be"), "text/csv; charset=utf-16be"),
    ],
)
def test_a_file_is_text_by_its_mark_else_in_its_declared_charset(body: bytes, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert Csv.read(body, headers).text() == NAME


def test_a_file_in_an_undeclared_charset_is_refused_by_byte() -> None:
    with pytest.raises(Malformed, match=r"not UTF-8: byte 1 \(0xf6\)"):
        Csv.read(NAME.encode("cp1252"), {}).text()
    with pytest.raises(UnsupportedCharset):
        Csv.read(b"a", {"content-type": "text/csv; charset=ebcdic"})


@given(body=st.binary(), charset=st.sampled_from([*charsets._CODECS]))
def test_any_bytes_are_text_or_refused(body: bytes, charset: str) -> None:
    for read in (charsets.decode, charsets.decode_file):
        try:
            text = read(body, charset)
        except Malformed:
            continue
        assert (
            "\ufffd" not in text
            or b"\xef\xbf\xbd" in body
            or "utf-16" in charset
            or body[:2] in (b"\xff\xfe", b"\xfe\xff")
        )


@given(content_type=st.text())
def test_any_content_type_is_read_or_refused(content_type: str) -> None:
    for text in (content_type, f"text/csv; charset={content_type}"):
        try:
            assert charsets.declared(text) in (None, *charsets._CODECS)
        except UnsupportedCharset:
            continue

import base64
import json
from typing import Any

import pytest

from mercato.store.cursor import InvalidCursor, decode_cursor, encode_cursor

KEY = {"pk": "USER#1", "sk": "N#1"}
INDEX_KEY = KEY | {"gsi1pk": "UNREAD#1", "gsi1sk": "1"}


def cursor(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_leads_back_to_its_key() -> None:
    assert decode_cursor(encode_cursor(KEY), pk="USER#1") == KEY
    assert decode_cursor(encode_cursor(INDEX_KEY), pk="USER#1", gsi1pk="UNREAD#1") == INDEX_KEY


def test_the_first_page_has_no_cursor_and_the_last_gives_none() -> None:
    assert decode_cursor(None, pk="USER#1") is None
    assert encode_cursor(None) is None


def test_a_cursor_goes_into_a_url_as_it_is() -> None:
    found = encode_cursor({"pk": "ÿ?>~" * 9, "sk": "ÿ"})
    assert found is not None
    assert set(found) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    "partition", [{"pk": "USER#2"}, {"pk": "USER#1", "gsi1pk": "UNREAD#1"}, {"gsi1pk": "UNREAD#1"}]
)
def test_a_cursor_opens_no_other_list(partition: dict[str, str]) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(KEY), **partition)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "é",
        "a",
        cursor("not json"),
        cursor([]),
        cursor(None),
        cursor({}),
        cursor({"pk": "USER#1"}),
        cursor({"pk": "USER#1", "sk": 7}),
        cursor({"pk": "USER#1", "sk": ""}),
        cursor({"pk": "USER#1", "sk": {"S": "x"}}),
        cursor(KEY | {"more": "x"}),
        cursor('{"pk": "USER#1", "sk": "\\ud800"}'),
        cursor("[" * 3000),
    ],
)
def test_a_forged_cursor_is_the_clients_error(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(text, pk="USER#1")

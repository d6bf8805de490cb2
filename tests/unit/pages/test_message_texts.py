"""The console's pages of message texts: what they send to the API, and what they show of its answers."""

from __future__ import annotations

import html
from typing import Any

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi

HERE = "/console/texts/order_shipped/de"
TEXT = "GET /api/notifications/texts/order_shipped/de"
PUT = "PUT /api/notifications/texts/order_shipped/de"
PREVIEW = "POST /api/notifications/texts/order_shipped/de/previews"
BUILT_IN = {"subject": "Unterwegs", "body": "Hallo {{ name }},\n\n{{ order }}", "sms": "Mercato: {{ order }}"}
FIELDS = [{"name": "order", "meaning": "The order's number.", "example": "K7QF2-M9X40"}]
ABOUT = {"name": "order_shipped", "language": "de", "fields": ["order"], "about_fields": FIELDS}
TYPED = {"subject": "Es kommt", "body": "Hallo,\r\n\r\n{{ order }}", "sms": "Da: {{ order }}"}
SENT = TYPED | {"body": "Hallo,\n\n{{ order }}"}


def version(number: int, words: dict[str, str] = BUILT_IN) -> dict[str, Any]:
    return ABOUT | words | {"version": number, "is_built_in": words == BUILT_IN}


def stored(api: ShopApi, *words: dict[str, str]) -> None:
    """The built-in text and the versions after it, the last of which is in force."""
    versions = [version(number, one) for number, one in enumerate((BUILT_IN, *words))]
    api.answers[TEXT] = lambda: (200, versions[int(api.asked[-1][2].partition("?version=")[2] or -1)])


def sent(api: ShopApi, route: str) -> list[Any]:
    return [body for _, _, _, body, _ in api.of(route)]


def test_the_list_tells_which_texts_are_changed_by_whom_and_when(api: ShopApi, desk: Ask) -> None:
    key = {"name": "order_shipped", "channels": ["email", "sms"]}
    built_in = {"language": "en", "version": 0, "is_built_in": True, "changed_at": None, "changed_by": None}
    by = {"changed_at": "2026-11-28T12:00:00.000Z", "changed_by": "0123456789abcdef"}
    changed = {"language": "de", "version": 4, "is_built_in": False} | by
    api.answers["GET /api/notifications/texts"] = (200, {"items": [key | built_in, key | changed]})

    page = desk("GET", "/console/texts", as_user=True).text

    first, second = page.partition("<tbody>")[2].split("</tr>")[:2]
    for seen in (
        "Order shipped",
        "English",
        "mail, text message",
        "built in",
        ">0<",
        "/console/texts/order_shipped/en",
    ):
        assert seen in first
    for seen in ("German", "changed", ">4<", "28 Nov 2026, 12:00 UTC", "01234567", "/console/texts/order_shipped/de"):
        assert seen in second
    assert '<a href="/console/texts" aria-current="page">Message texts</a>' in html.unescape(page)


@pytest.mark.parametrize("query", ["", "?version=1"])
def test_a_version_tells_who_made_it_and_when(api: ShopApi, desk: Ask, query: str) -> None:
    stored(api, TYPED, TYPED | {"subject": "Wieder anders"})
    made = {"changed_at": "2026-11-28T12:00:00.000Z", "changed_by": "0123456789abcdef"}
    answer = api.answers[TEXT]
    api.answers[TEXT] = lambda: (200, answer()[1] | made)
    page = desk("GET", HERE + query, as_user=True).text
    assert "made 28 Nov 2026, 12:00 UTC by <code>01234567" in page
    assert "Version 1" in page


def test_a_list_of_an_older_release_is_shown_without_what_it_lacks(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/notifications/texts"] = (200, {"items": [{"name": "receipt", "language": "fr"}]})
    page = desk("GET", "/console/texts", as_user=True)
    assert (page.status, "Receipt" in page.text, "<td>fr</td>" in page.text) == (200, True, True)
    old = {key: value for key, value in version(1).items() if key not in ("about_fields", "is_built_in")}
    api.answers[TEXT] = (200, old)
    page = desk("GET", HERE, as_user=True)
    assert (page.status, "{{ order }}" in page.text) == (200, True)


def test_a_text_is_shown_with_its_fields_and_the_way_back_to_the_built_in_one(api: ShopApi, desk: Ask) -> None:
    stored(api)
    page = html.unescape(desk("GET", HERE, as_user=True).text)
    for seen in (
        "<h1>Order shipped, German</h1>",
        "<code>{{ order }}</code>",
        "The order's number.",
        'value="Unterwegs"',
    ):
        assert seen in page
    assert "?version=0" not in page
    stored(api, SENT)
    assert f'href="{HERE}?version=0"' in html.unescape(desk("GET", HERE, as_user=True).text)


def test_a_mail_alone_has_no_field_for_a_text_message(api: ShopApi, desk: Ask) -> None:
    stored(api, SENT | {"sms": ""})
    assert 'name="sms"' not in desk("GET", HERE, as_user=True).text
    assert desk("POST", HERE, {"version": "1", "subject": "a", "body": "b"}, as_user=True).status == 303
    assert sent(api, PUT) == [{"version": 1, "subject": "a", "body": "b", "sms": ""}]


def test_a_change_is_sent_with_line_feeds_at_the_version_that_was_shown(api: ShopApi, desk: Ask) -> None:
    answer = desk("POST", HERE, TYPED | {"version": "3"}, as_user=True)
    assert answer.location == f"{HERE}?said=changed"
    assert sent(api, PUT) == [SENT | {"version": 3}]
    stored(api)
    assert "Messages have it within half a minute." in desk("GET", answer.location, as_user=True).text


@pytest.mark.parametrize("previews", [False, True])
def test_refused_words_are_told_at_their_field_and_what_was_typed_stays(
    api: ShopApi, desk: Ask, previews: bool
) -> None:
    stored(api, SENT)
    said = "must not have {{ card }}, which is no field of this kind"
    api.refuse(PREVIEW if previews else PUT, 422, "invalid-text", errors=[{"field": "body", "message": said}])

    address = f"{HERE}/preview" if previews else HERE
    page = desk("POST", address, TYPED | {"body": "Karte {{ card }}", "version": "1"}, as_user=True)

    text = html.unescape(page.text)
    assert page.status == 422
    assert f'id="body-error">This {said}.<' in text
    assert "Karte {{ card }}</textarea>" in text
    assert 'value="Es kommt"' in text
    assert "There is no preview of this." in text.partition('id="preview"')[2]


def test_an_empty_text_is_refused_before_it_is_sent(api: ShopApi, desk: Ask) -> None:
    stored(api)
    page = desk("POST", HERE, TYPED | {"subject": " ", "version": "0"}, as_user=True)
    assert (page.status, 'id="subject-error"' in page.text, sent(api, PUT)) == (422, True, [])


def test_a_preview_shows_the_example_keeps_what_was_typed_and_changes_nothing(api: ShopApi, desk: Ask) -> None:
    stored(api, SENT | {"subject": "In force"})
    shown = {"subject": "Es kommt", "body": "Hallo,\n\nK7QF2", "sms": "Da: K7QF2", "sms_parts": 2}
    api.answers[PREVIEW] = (200, shown)

    page = desk("POST", f"{HERE}/preview", TYPED | {"version": "1"}, as_user=True)

    text = html.unescape(page.text)
    assert page.status == 200
    assert sent(api, PREVIEW) == [SENT]
    assert sent(api, PUT) == []
    preview = text.partition('id="preview"')[2]
    for seen in ("Es kommt", "Hallo,\n\nK7QF2</pre>", "Text message, 2 parts", "Da: K7QF2</pre>"):
        assert seen in preview
    assert 'value="Es kommt"' in text
    assert 'name="version" value="1"' in text
    assert "meanwhile" not in text


def test_a_change_that_comes_too_late_shows_both_sides_and_can_be_sent_again(api: ShopApi, desk: Ask) -> None:
    theirs = BUILT_IN | {"subject": "Von Bea"}
    stored(api, theirs)
    api.refuse(PUT, 409, "text-changed", "Another request has changed this text.")

    page = desk("POST", HERE, BUILT_IN | {"sms": "Von mir", "version": "0"}, as_user=True)

    text = html.unescape(page.text)
    assert page.status == 409
    before, _, after = text.partition("What your text changes of it")
    assert "<del>- Unterwegs</del><ins>+ Von Bea</ins>" in before
    assert "<del>- Von Bea</del><ins>+ Unterwegs</ins>" in after
    assert "<ins>+ Von mir</ins>" in after
    assert 'name="version" value="1"' in after
    assert "Von mir</textarea>" in after


def test_an_earlier_version_is_shown_beside_the_one_in_force_and_brought_back(api: ShopApi, desk: Ask) -> None:
    stored(api, SENT, SENT | {"subject": "Zwei"})
    page = html.unescape(desk("GET", f"{HERE}?version=0", as_user=True).text)
    assert "Restore the built-in text?" in page
    assert "<del>- Zwei</del><ins>+ Unterwegs</ins>" in page
    assert "?version=1" in page
    assert "Bring version 1 back?" in desk("GET", f"{HERE}?version=1", as_user=True).text
    assert "Put it in force" in desk("GET", f"{HERE}?version=2", as_user=True).text

    answer = desk("POST", f"{HERE}/restore", {"version": "2", "restored": "0"}, as_user=True)

    assert answer.location == f"{HERE}?said=restored"
    assert sent(api, PUT) == [BUILT_IN | {"version": 2}]


def test_a_restore_that_comes_too_late_asks_again_with_the_text_of_now(api: ShopApi, desk: Ask) -> None:
    stored(api, SENT, SENT | {"subject": "Von Bea"})
    api.refuse(PUT, 409, "text-changed", "Another request has changed this text.")
    page = desk("POST", f"{HERE}/restore", {"version": "1", "restored": "0"}, as_user=True)
    text = html.unescape(page.text)
    assert page.status == 409
    assert "Another request has changed this text." in text
    assert "<del>- Von Bea</del><ins>+ Unterwegs</ins>" in text
    assert 'name="version" value="2"' in text


def test_a_text_that_there_is_not_is_a_page_that_says_so(api: ShopApi, desk: Ask) -> None:
    api.refuse(TEXT, 404, "text-not-found", "There is no such text.")
    page = desk("GET", HERE, as_user=True)
    assert (page.status, "There is no such text." in page.text) == (404, True)

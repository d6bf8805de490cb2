"""The switches of mails, and the page behind the link of a mail."""

from __future__ import annotations

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

TOKEN = "dXNlci0x." + "A" * 43
PAGE, UNSUBSCRIBE = f"/unsubscribe/{TOKEN}", f"POST /api/notifications/unsubscriptions/{TOKEN}"
PREFERENCES = "/api/notifications/preferences"


@pytest.fixture
def switches(api: ShopApi) -> ShopApi:
    kinds = [
        {"kind": "receipt", "needed": True, "email": True},
        {"kind": "order_shipped", "needed": False, "email": False},
        {"kind": "back_in_stock", "needed": False, "email": True},
        {"kind": "of_a_newer_release", "needed": False, "email": True},
    ]
    api.answers[f"GET {PREFERENCES}"] = (200, {"email": True, "kinds": kinds})
    api.answers[UNSUBSCRIBE] = (200, {"kind": "order_shipped"})
    return api


def test_what_can_be_switched_off_is_shown(switches: ShopApi, shop: Ask) -> None:
    page = shop("GET", "/notices", as_user=True)
    boxes = [line for line in page.text.splitlines() if 'name="kinds"' in line]
    assert [("order_shipped" in box, "checked" in box) for box in boxes] == [(True, False), (False, True)]


def test_the_switches_that_were_shown_are_kept(switches: ShopApi, shop: Ask) -> None:
    form = {"email": "on", "kinds": ["order_shipped"], "switches": ["order_shipped", "back_in_stock"]}
    assert shop("POST", "/notices/preferences", form, as_user=True).location == "/notices?said=kept"

    [(_, _, _, body, _)] = switches.of(f"PUT {PREFERENCES}")
    kinds = [{"kind": "order_shipped", "email": True}, {"kind": "back_in_stock", "email": False}]
    assert body == {"email": True, "kinds": kinds}


def test_opening_the_link_changes_nothing(switches: ShopApi, shop: Ask) -> None:
    page = shop("GET", PAGE)
    assert (page.status, "Stop them" in page.text) == (200, True)
    assert switches.of(UNSUBSCRIBE) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "origin": "https://mail.example"},
        {"sec-fetch-site": "none", "content-type": "multipart/form-data; boundary=b"},
        {"sec-fetch-site": "none", "content-type": "text/plain"},
    ],
)
def test_one_click_of_a_mail_provider_ends_the_mails(switches: ShopApi, shop: Ask, headers: dict[str, str]) -> None:
    """RFC 8058: a POST from anywhere, without cookies, answered without a redirect."""
    page = shop("POST", PAGE, {"List-Unsubscribe": "One-Click"}, headers=headers)
    assert (page.status, "orders that are on their way" in page.text) == (200, True)

    [(peer, _, _, _, sent)] = switches.of(UNSUBSCRIBE)
    assert peer == "notifications"
    assert "Authorization" not in sent


def test_a_link_that_is_not_whole_says_so(switches: ShopApi, shop: Ask) -> None:
    switches.refuse(UNSUBSCRIBE, 404, "unknown-link", "This link is not whole.")
    page = shop("POST", PAGE)
    assert (page.status, "This link is not whole." in page.text) == (404, True)


def test_no_other_form_may_come_from_elsewhere(switches: ShopApi, shop: Ask) -> None:
    for path in ("/notices/preferences", "/nowhere", "/unsubscribe"):
        assert shop("POST", path, {"email": "on"}, headers={"sec-fetch-site": "cross-site"}).status == 403


@pytest.fixture
def texting(api: ShopApi) -> ShopApi:
    kinds = [
        {"kind": "receipt", "needed": True, "email": True, "sms": None},
        {"kind": "order_shipped", "needed": False, "email": False, "sms": True},
        {"kind": "back_in_stock", "needed": False, "email": True, "sms": None},
    ]
    sms = {"phone": "+442079460958", "stopped": None}
    api.answers[f"GET {PREFERENCES}"] = (200, {"email": True, "kinds": kinds, "stopped": None, "sms": sms})
    api.answers[f"PUT {PREFERENCES}"] = (200, {})
    return api


def test_both_channels_have_a_column(texting: ShopApi, shop: Ask) -> None:
    page = shop("GET", "/notices", as_user=True)
    boxes = [line for line in page.text.splitlines() if 'name="sms"' in line]
    assert [("order_shipped" in box, "checked" in box) for box in boxes] == [(True, True)]
    assert page.text.count('name="kinds"') == 2
    assert 'value="+442079460958"' in page.text


def test_a_number_that_opted_out_says_so(texting: ShopApi, shop: Ask) -> None:
    texting.answers[f"GET {PREFERENCES}"][1]["sms"]["stopped"] = "opted_out"
    assert "asked its carrier for no more" in shop("GET", "/notices", as_user=True).text


def test_a_number_that_is_refused_leaves_the_ticks_as_they_were_sent(texting: ShopApi, shop: Ask) -> None:
    texting.refuse(f"PUT {PREFERENCES}", 422, "invalid-number", "Write the number with its country code.")
    form = {"switches": ["order_shipped", "back_in_stock"], "kinds": ["order_shipped"], "phone": "020"}
    form |= {"sms_switches": ["order_shipped"], "sms": ["order_shipped"]}
    page = shop("POST", "/notices/preferences", form, as_user=True)
    assert page.status == 422
    lines = page.text.splitlines()
    boxes = [("checked" in line) for line in lines if 'name="kinds"' in line or 'name="email"' in line]
    assert boxes == [False, True, False]


def test_the_number_and_the_switches_of_both_channels_are_kept(texting: ShopApi, shop: Ask) -> None:
    form = {
        "kinds": ["back_in_stock"],
        "switches": ["order_shipped", "back_in_stock"],
        "sms_switches": ["order_shipped"],
        "phone": " +44 20 7946 0958 ",
    }
    assert shop("POST", "/notices/preferences", form, as_user=True).location == "/notices?said=kept"

    [(_, _, _, body, _)] = texting.of(f"PUT {PREFERENCES}")
    kinds = [{"kind": "order_shipped", "email": False, "sms": False}, {"kind": "back_in_stock", "email": True}]
    assert body == {"email": False, "kinds": kinds, "phone": "+44 20 7946 0958"}


def test_text_messages_to_no_number_are_told_at_its_field(texting: ShopApi, shop: Ask) -> None:
    form = {"switches": ["order_shipped"], "sms_switches": ["order_shipped"], "sms": ["order_shipped"], "phone": " "}
    page = shop("POST", "/notices/preferences", form, as_user=True)
    assert (page.status, 'id="phone-error">Please give a number, or take the ticks' in page.text) == (422, True)
    assert texting.of(f"PUT {PREFERENCES}") == []


def test_a_number_that_the_api_refuses_is_told_at_its_field(texting: ShopApi, shop: Ask) -> None:
    texting.refuse(f"PUT {PREFERENCES}", 422, "invalid-number", "This is no number.")
    page = shop("POST", "/notices/preferences", {"phone": "020"}, as_user=True)
    assert (page.status, 'id="phone-error">This is no number.' in page.text) == (422, True)


def test_a_number_is_removed_with_the_ticks(texting: ShopApi, shop: Ask) -> None:
    form = {"switches": ["order_shipped"], "sms_switches": ["order_shipped"], "phone": ""}
    assert shop("POST", "/notices/preferences", form, as_user=True).location == "/notices?said=kept"
    [(_, _, _, body, _)] = texting.of(f"PUT {PREFERENCES}")
    assert body == {"email": False, "kinds": [{"kind": "order_shipped", "email": False, "sms": False}], "phone": ""}


def test_a_number_that_is_refused_is_shown_again_with_the_reason(texting: ShopApi, shop: Ask) -> None:
    texting.refuse(f"PUT {PREFERENCES}", 422, "invalid-number", "Write the phone number with its country code.")
    page = shop("POST", "/notices/preferences", {"email": "on", "phone": "020 7946"}, as_user=True)
    assert (page.status, "with its country code." in page.text, 'value="020 7946"' in page.text) == (422, True, True)


GUEST_WISHES = "/api/notifications/guest-wishes"
WISH = f"/wish/{TOKEN}"


@pytest.fixture
def sold_out(api: ShopApi) -> ShopApi:
    product = {
        "product_id": "mug",
        "name": "Mug",
        "sku": "MUG",
        "price": {"amount": 1250, "currency": "GBP"},
        "availability": "out",
        "status": "active",
        "description": "",
        "category": "",
        "weight_grams": 300,
        "related": [],
    }
    api.answers["GET /api/products/mug"] = (200, product)
    api.answers[f"POST {GUEST_WISHES}"] = (202, {"detail": "We have sent a mail."})
    api.answers[f"POST {GUEST_WISHES}/{TOKEN}"] = (200, {"product_id": "mug", "name": "Mug"})
    api.answers[f"DELETE {GUEST_WISHES}/{TOKEN}"] = (204, {})
    return api


def test_a_guest_leaves_an_address_on_the_page_of_what_is_sold_out(sold_out: ShopApi, shop: Ask) -> None:
    assert "Mail me when it is back" in shop("GET", "/p/mug").text
    assert "Mail me when it is back" not in shop("GET", "/p/mug", as_user=True).text

    headers = {"accept-language": "de-AT,de;q=0.9"}
    answer = shop("POST", "/p/mug/guest-wish", {"email": " ada@example.com "}, headers=headers)

    assert answer.location == "/p/mug?said=asked"
    [(_, _, _, body, sent)] = sold_out.of(f"POST {GUEST_WISHES}")
    assert body == {"product_id": "mug", "email": "ada@example.com", "language": "de"}
    assert "Authorization" not in sent
    assert "open the link in the mail" in shop("GET", "/p/mug?said=asked").text


def test_an_address_that_is_refused_is_shown_again_with_the_reason(sold_out: ShopApi, shop: Ask) -> None:
    sold_out.refuse(f"POST {GUEST_WISHES}", 422, "invalid-email", "This is not an e-mail address.")
    page = shop("POST", "/p/mug/guest-wish", {"email": "nobody"})
    assert 'aria-describedby="email-error"' in page.text
    assert (page.status, "This is not an e-mail address." in page.text) == (422, True)
    assert 'value="nobody"' in page.text


def test_what_is_back_already_is_shown(sold_out: ShopApi, shop: Ask) -> None:
    sold_out.refuse(f"POST {GUEST_WISHES}", 409, "in-stock", "This product is in stock.")
    assert shop("POST", "/p/mug/guest-wish", {"email": "ada@example.com"}).location == "/p/mug?said=back"


def test_what_is_back_already_is_said_to_who_has_logged_in(sold_out: ShopApi, shop: Ask) -> None:
    """The page may still say that it is sold out: it hears of the stock a moment later."""
    sold_out.refuse("PUT /api/notifications/wishes/p1", 409, "in-stock", "This product is in stock.")
    answer = shop("POST", "/p/p1/wish", as_user=True)
    assert answer.location == "/p/p1?said=back"
    assert "It is back already" in shop("GET", answer.location, as_user=True).text


def test_the_link_asks_and_its_buttons_confirm_or_end(sold_out: ShopApi, shop: Ask) -> None:
    page = shop("GET", WISH)
    assert (page.status, "Yes, mail me" in page.text) == (200, True)
    assert sold_out.of(f"POST {GUEST_WISHES}/{TOKEN}") == []

    page = shop("POST", WISH)
    assert (page.status, "We will tell you" in page.text, 'href="/p/mug"' in page.text) == (200, True, True)
    assert "forgotten your address" in shop("POST", f"{WISH}/end").text
    assert len(sold_out.of(f"DELETE {GUEST_WISHES}/{TOKEN}")) == 1


def test_a_link_to_confirm_that_has_expired_says_so(sold_out: ShopApi, shop: Ask) -> None:
    sold_out.refuse(f"POST {GUEST_WISHES}/{TOKEN}", 404, "unknown-link", "This link is not whole.")
    sold_out.refuse(f"DELETE {GUEST_WISHES}/{TOKEN}", 404, "unknown-link", "This link is not whole.")
    for page in (shop("POST", WISH), shop("POST", f"{WISH}/end")):
        assert page.status == 404
        assert "Either its wish has ended, or a part of the link is missing" in page.text


def test_no_other_site_confirms(sold_out: ShopApi, shop: Ask) -> None:
    assert shop("POST", WISH, headers={"sec-fetch-site": "cross-site"}).status == 403


@pytest.mark.parametrize(("language", "stated"), [("de", 2), ("en", 0), (None, 0)])
def test_a_notice_states_its_language_where_it_is_not_the_page_s(
    api: ShopApi, shop: Ask, language: str | None, stated: int
) -> None:
    """A screen reader would read German with an English voice. A service of an earlier release states none."""
    _, found = answer_of_the_contract("GET", "/api/notifications")
    notice = found["items"][0] | {"subject": "Ihre Bestellung", "body": "Danke!", "language": language}
    if language is None:
        del notice["language"]
    api.answers["GET /api/notifications"] = (200, found | {"items": [notice]})
    assert shop("GET", "/notices", as_user=True).text.count('lang="de"') == stated


def test_a_notice_that_is_read_leads_back_to_the_page_of_the_list(api: ShopApi, shop: Ask) -> None:
    _, found = answer_of_the_contract("GET", "/api/notifications")
    notices = found | {"items": [found["items"][0] | {"notification_id": "n-1", "read": False}]}
    api.answers["GET /api/notifications"] = (200, notices)
    api.answers["POST /api/notifications/n-1/read"] = (204, None)
    assert 'name="cursor" value="page-2"' in shop("GET", "/notices?cursor=page-2", as_user=True).text

    assert shop("POST", "/notices/n-1/read", {"cursor": "page-2"}, as_user=True).location == "/notices?cursor=page-2"
    assert shop("POST", "/notices/n-1/read", {"cursor": ""}, as_user=True).location == "/notices"

"""Which requests a page accepts, its headers for the browser, and which address counts."""

from __future__ import annotations

import pytest

from pages import cookies, security
from tests.kit import aws_events

OURS = "https://shop.example"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": OURS},
        {"origin": OURS},
    ],
)
def test_a_form_of_our_own_page_is_taken(headers: dict[str, str]) -> None:
    security.require_same_origin("POST", headers, OURS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": OURS},
        {"sec-fetch-site": "same-site", "origin": OURS},
        {"origin": "https://shop.example.evil.example"},
        {"origin": "http://shop.example"},
        {"origin": "https://shop.example:8443"},
        {"origin": "null"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_form_of_another_page_is_refused(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(security.CrossSite):
        security.require_same_origin(method, headers, OURS)


def test_the_site_s_address_may_end_in_a_slash() -> None:
    security.require_same_origin("POST", {"origin": OURS}, f"{OURS}/")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_changes_nothing_may_come_from_anywhere(method: str) -> None:
    security.require_same_origin(method, {"sec-fetch-site": "cross-site"}, OURS)


def test_the_policy_lets_in_our_own_files_alone() -> None:
    policy = security.policy()
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_page_may_add_a_source_to_its_policy() -> None:
    policy = security.policy(("script-src", "https://js.stripe.com"), ("frame-src", "https://js.stripe.com"))
    assert "script-src 'self' https://js.stripe.com;" in policy
    assert policy.endswith("frame-src https://js.stripe.com")
    assert "js.stripe.com" not in security.policy()


def test_the_visitor_has_the_address_that_api_gateway_saw() -> None:
    event = aws_events.http_api_request("GET", "/", source="1.2.3.4")
    assert security.Visitors("").address(event, {"x-forwarded-for": "5.6.7.8"}) == "1.2.3.4"


def test_no_script_and_no_other_host_has_a_session_cookie() -> None:
    for written in (cookies.write(cookies.SHOP.access, "token", 60), cookies.removed(cookies.SHOP.refresh)):
        name, *flags = written.split("; ")
        assert name.startswith("__Host-")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(flags)
        assert not any(flag.startswith("Domain") for flag in flags)


def test_cookies_are_read_in_both_forms_and_odd_values_are_none() -> None:
    assert cookies.read(["__Host-a=abc.def", "__Host-r=xyz"]) == {"__Host-a": "abc.def", "__Host-r": "xyz"}
    assert cookies.read(["__Host-a=abc; __Host-r=xyz; other"]) == {"__Host-a": "abc", "__Host-r": "xyz"}
    assert cookies.read(["__Host-a=<script>; __Host-r=; __Host-cart=a\x00b"]) == {}
    assert cookies.read(["__Host-a=first", "__Host-a=second"]) == {"__Host-a": "first"}
    assert cookies.read([" __Host-a=abc;\t__Host-r=xyz"]) == {"__Host-a": "abc", "__Host-r": "xyz"}


@pytest.mark.parametrize("blank", ["\u2000", "\u00a0", "\u0085", "\u3000", "\x1f"])
def test_a_cookie_that_another_host_may_set_is_not_taken_for_ours(blank: str) -> None:
    """A browser sees no __Host- at the start of such a name, so it takes the cookie from any host of the domain."""
    found = cookies.read([f"{blank}__Host-a=strangers", "__Host-a=own"])
    assert found["__Host-a"] == "own"
    assert "__Host-r" not in cookies.read([f"{blank}__Host-r=strangers"])

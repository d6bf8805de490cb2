"""Stopped addresses: staff's page, and what their owners are told."""

from __future__ import annotations

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi

STOP = {
    "stop_id": "a" * 64,
    "email": "anna@example.com",
    "reason": "bounce",
    "detail": "NoEmail",
    "stopped_at": "2026-11-22T12:00:00.000Z",
}
RELEASE = f"DELETE /api/notifications/stops/{STOP['stop_id']}"


def test_staff_sees_and_releases_a_stopped_address(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/notifications/stops"] = (200, {"items": [STOP], "next_cursor": None})
    api.answers[RELEASE] = (204, None)
    page = desk("GET", "/console/mails", as_user=True)
    assert (page.status, "anna@example.com" in page.text, "NoEmail" in page.text) == (200, True, True)

    answer = desk("POST", f"/console/mails/{STOP['stop_id']}/release", as_user=True)

    assert answer.location == "/console/mails?said=released"
    assert len(api.of(RELEASE)) == 1


def test_a_release_leads_back_to_the_page_of_the_list(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/notifications/stops"] = (200, {"items": [STOP], "next_cursor": None})
    api.answers[RELEASE] = (204, None)
    page = desk("GET", "/console/mails?cursor=page-2", as_user=True).text
    assert 'name="cursor" value="page-2"' in page

    form = {"cursor": "page-2"}
    answer = desk("POST", f"/console/mails/{STOP['stop_id']}/release", form, as_user=True)
    assert answer.location == "/console/mails?said=released&cursor=page-2"

    api.refuse(RELEASE, 404, "stop-not-found", "This address is not stopped.")
    desk("POST", f"/console/mails/{STOP['stop_id']}/release", form, as_user=True)
    assert api.of("GET /api/notifications/stops")[-1][2].endswith("cursor=page-2")


def test_an_address_that_is_free_by_now_says_so(api: ShopApi, desk: Ask) -> None:
    api.answers["GET /api/notifications/stops"] = (200, {"items": [], "next_cursor": None})
    api.refuse(RELEASE, 404, "stop-not-found", "This address is not stopped.")
    page = desk("POST", f"/console/mails/{STOP['stop_id']}/release", as_user=True)
    assert (page.status, "This address is not stopped." in page.text) == (404, True)


@pytest.mark.parametrize("path", ["/notices", "/account"])
@pytest.mark.parametrize(
    ("reason", "told"),
    [("bounce", "do not reach your address"), ("complaint", "reported as spam"), (None, None)],
)
def test_its_owner_is_told(api: ShopApi, shop: Ask, path: str, reason: str | None, told: str | None) -> None:
    api.answers["GET /api/notifications/preferences"] = (200, {"email": True, "kinds": [], "stopped": reason})
    page = shop("GET", path, as_user=True)
    assert page.status == 200
    assert (told or "none any more") in page.text or told is None
    assert ("so we send you none any more" in page.text) == (told is not None)

"""What grants access by itself is in no log, and the same thing has the same digest in each."""

from __future__ import annotations

import pytest

from mercato.telemetry.paths import digest_of, hide_capability

SECRET = "Zk3v-9w_secret"


@pytest.mark.parametrize(
    "path",
    [
        "/api/carts/guests/{}",
        "/api/carts/guests/{}/items/p-1",
        "/api/checkouts/guests/{}/c-1",
        "/api/orders/guests/{}/cancel",
        "/api/orders/guests/{}?as_of=1",
    ],
)
def test_a_capability_is_a_digest_and_the_rest_stays(path: str) -> None:
    assert hide_capability(path.format(SECRET)) == path.format(digest_of(SECRET))
    assert SECRET not in digest_of(SECRET)


def test_a_quoted_one_has_the_digest_of_what_it_means() -> None:
    assert hide_capability("/api/orders/guests/a%2Fb") == f"/api/orders/guests/{digest_of('a/b')}"


@pytest.mark.parametrize("path", ["/api/orders/guests", "/api/orders/guests/", "/api/carts/mine", "/p/guests-chair"])
def test_a_path_without_one_stays(path: str) -> None:
    assert hide_capability(path) == path

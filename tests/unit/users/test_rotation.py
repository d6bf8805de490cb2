"""The keys: their set, their rotation, and a rotation that runs twice, concurrently, or ends half-way."""

import json
from datetime import datetime, timedelta

import pytest

from users.signing_keys.domain import KeySet, StoredKeys, make_key
from users.signing_keys.rotator import Outcome, maintain_keys

LATER = timedelta(days=30)


class Stores:
    """Secrets Manager and SSM in memory. The process ends at publication number `dies_at`."""

    def __init__(self) -> None:
        self.stored: StoredKeys | None = None
        self.published: dict[str, list[dict[str, str]]] = {"keys": []}
        self.publications, self.dies_at = 0, -1
        self.raced_by: KeySet | None = None

    def load(self) -> StoredKeys | None:
        return self.stored

    def replace(self, keys: KeySet, version: str | None) -> bool:
        if self.raced_by:
            self._put(self.raced_by)
            self.raced_by = None
        if version != (self.stored.version if self.stored else None):
            return False
        self._put(keys)
        return True

    def _put(self, keys: KeySet) -> None:
        self.stored = StoredKeys(keys, str(int(self.stored.version) + 1) if self.stored else "1")

    def publish(self, keys: KeySet) -> bool:
        self.publications += 1
        if self.publications == self.dies_at:
            raise TimeoutError
        changed = self.published != keys.public()
        self.published = keys.public()
        return changed

    @property
    def keys(self) -> KeySet:
        assert self.stored is not None
        return self.stored.keys

    @property
    def published_ids(self) -> set[str]:
        return {key["kid"] for key in self.published["keys"]}


@pytest.fixture
def stores(noon: datetime) -> Stores:
    """With a first set of keys, made at noon."""
    stores = Stores()
    assert maintain_keys(stores, noon, if_missing=True) is Outcome.CREATED
    return stores


def test_a_key_is_on_p256_and_named_by_its_thumbprint() -> None:
    key = make_key()

    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert len(key["kid"]) == 43
    assert make_key()["kid"] != key["kid"]


def test_what_is_published_holds_no_private_part(noon: datetime) -> None:
    keys = KeySet.make(noon).rotate(noon)

    assert len(keys.public()["keys"]) == 3
    assert all("d" not in key for key in keys.public()["keys"])
    assert all(key["d"] not in json.dumps(keys.public()) for key in (keys.next, keys.current))


def test_private_keys_do_not_show_themselves_in_a_log(noon: datetime) -> None:
    keys = KeySet.make(noon)

    assert keys.current["d"] not in repr(keys)
    assert keys.next["d"] not in repr(keys)


def test_a_set_reads_back_as_written(noon: datetime) -> None:
    keys = KeySet.make(noon).rotate(noon + LATER)

    assert KeySet.from_json(keys.to_json()) == keys


@pytest.mark.parametrize("text", ["", "{}"])
def test_an_empty_secret_holds_no_set(text: str) -> None:
    assert KeySet.from_json(text) is None


def test_the_first_run_makes_and_publishes_the_next_and_the_current_key(stores: Stores) -> None:
    assert stores.published_ids == {stores.keys.next["kid"], stores.keys.current["kid"]}
    assert stores.keys.previous is None


def test_if_missing_changes_nothing_after_the_first_run(stores: Stores, noon: datetime) -> None:
    before = stores.stored

    assert maintain_keys(stores, noon + LATER, if_missing=True) is Outcome.UNCHANGED
    assert stores.stored == before


def test_next_becomes_current_becomes_previous(stores: Stores, noon: datetime) -> None:
    before = stores.keys

    assert maintain_keys(stores, noon + LATER, if_missing=False) is Outcome.ROTATED

    assert stores.keys.current == before.next
    assert stores.keys.previous == before.current
    assert stores.keys.next["kid"] not in {before.next["kid"], before.current["kid"]}
    assert len(stores.published_ids) == 3


def test_a_key_is_published_before_it_signs(stores: Stores, noon: datetime) -> None:
    for rotation in range(1, 4):
        published_before = stores.published_ids
        maintain_keys(stores, noon + rotation * LATER, if_missing=False)
        assert stores.keys.current["kid"] in published_before


def test_a_rotation_that_runs_twice_happens_once(stores: Stores, noon: datetime) -> None:
    maintain_keys(stores, noon + LATER, if_missing=False)
    once = stores.stored

    assert maintain_keys(stores, noon + LATER + timedelta(minutes=59), if_missing=False) is Outcome.UNCHANGED
    assert stores.stored == once


def test_of_two_rotations_at_once_one_wins_and_its_keys_are_published(stores: Stores, noon: datetime) -> None:
    stores.raced_by = theirs = stores.keys.rotate(noon + LATER)

    assert maintain_keys(stores, noon + LATER, if_missing=False) is Outcome.UNCHANGED
    assert stores.keys == theirs
    assert stores.published == theirs.public()


def test_of_two_first_runs_one_wins_and_its_keys_are_published(noon: datetime) -> None:
    stores = Stores()
    stores.raced_by = theirs = KeySet.make(noon)

    assert maintain_keys(stores, noon, if_missing=True) is Outcome.UNCHANGED
    assert stores.keys == theirs
    assert stores.published == theirs.public()


def test_a_run_that_died_before_publishing_is_made_good_without_another_rotation(
    stores: Stores, noon: datetime
) -> None:
    stores.dies_at = stores.publications + 2  # the first one belongs to the check before the rotation
    with pytest.raises(TimeoutError):
        maintain_keys(stores, noon + LATER, if_missing=False)
    died_with = stores.keys
    assert stores.published != died_with.public()

    assert maintain_keys(stores, noon + 2 * LATER, if_missing=False) is Outcome.PUBLISHED
    assert stores.keys == died_with
    assert stores.published == died_with.public()

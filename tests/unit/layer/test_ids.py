import uuid
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mercato.ids import derived_id, fingerprint, new_id


def test_new_ids_are_uuids_of_version_7_and_all_different(noon: datetime) -> None:
    ids = {new_id(noon) for _ in range(1000)}
    assert len(ids) == 1000
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}


def test_new_ids_sort_by_time(noon: datetime) -> None:
    ids = [new_id(noon + timedelta(milliseconds=n)) for n in range(100)]
    assert ids == sorted(ids)


def test_a_derived_id_never_changes() -> None:
    assert derived_id("payment", "order-1") == "cd3e8122-4867-5e6a-9743-5e005506160c"


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_only_the_same_parts_give_the_same_id(one: list[str], other: list[str]) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_no_part_runs_into_the_next() -> None:
    assert len({derived_id("ab", "c"), derived_id("a", "bc"), derived_id("abc"), derived_id("ab", "c", "")}) == 4


def test_a_fingerprint_does_not_mind_the_order_of_fields() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint([1, 2]) != fingerprint([2, 1])

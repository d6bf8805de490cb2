"""Refresh tokens: what is derived from a token, and when a used one still gets a response."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from users.sessions.domain import Family, InvalidRefreshToken, RefreshToken, RefreshTokenReused, repeat_successor

FIRST = RefreshToken("f" * 22, "s" * 43)
SALT = "salt"


@pytest.fixture
def family(noon: datetime) -> Family:
    """A session whose first token was used at noon."""
    return Family(
        family_id=FIRST.family_id,
        user_id="ada",
        digest=FIRST.successor(SALT).digest,
        expires_at=noon + timedelta(days=30),
        previous_digest=FIRST.digest,
        salt=SALT,
        rotated_at=noon,
    )


def test_a_token_reads_back_as_written() -> None:
    made = RefreshToken.make()

    assert RefreshToken.read(made.text) == made
    assert RefreshToken.make() != made


@pytest.mark.parametrize(
    "text", ["", "x", FIRST.text + "x", FIRST.text[1:], FIRST.text.replace(".", "!"), FIRST.text + "\n", "." * 66]
)
def test_a_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidRefreshToken):
        RefreshToken.read(text)


def test_the_successor_is_in_the_same_session_and_can_be_told_again() -> None:
    successor = FIRST.successor(SALT)

    assert successor.family_id == FIRST.family_id
    assert successor.secret != FIRST.secret
    assert successor == FIRST.successor(SALT)
    assert RefreshToken.read(successor.text) == successor


def test_the_successor_depends_on_the_token_and_on_the_salt() -> None:
    other = RefreshToken(FIRST.family_id, "t" * 43)

    assert FIRST.successor(SALT) != FIRST.successor("other")
    assert FIRST.successor(SALT) != other.successor(SALT)


def test_a_token_does_not_show_itself_in_a_log() -> None:
    assert FIRST.secret not in repr(FIRST)
    assert FIRST.family_id not in repr(FIRST)


@pytest.mark.parametrize("seconds", [0, 1, 10])
def test_a_second_tab_within_ten_seconds_gets_the_same_successor(family: Family, noon: datetime, seconds: int) -> None:
    assert repeat_successor(family, FIRST, noon + timedelta(seconds=seconds)) == FIRST.successor(SALT)


def test_after_the_grace_the_token_counts_as_stolen(family: Family, noon: datetime) -> None:
    with pytest.raises(RefreshTokenReused):
        repeat_successor(family, FIRST, noon + timedelta(seconds=10, milliseconds=1))


def test_a_token_older_than_the_last_has_no_grace(family: Family, noon: datetime) -> None:
    moved_on = replace(family, previous_digest=FIRST.successor(SALT).digest)

    with pytest.raises(RefreshTokenReused):
        repeat_successor(moved_on, FIRST, noon)


def test_a_wrong_secret_in_a_session_that_was_never_renewed_counts_as_stolen(family: Family, noon: datetime) -> None:
    fresh = replace(family, digest=FIRST.digest, previous_digest=None, salt=None, rotated_at=None)

    with pytest.raises(RefreshTokenReused):
        repeat_successor(fresh, RefreshToken(FIRST.family_id, "x" * 43), noon)


def test_a_revoked_session_has_no_grace(family: Family, noon: datetime) -> None:
    with pytest.raises(InvalidRefreshToken):
        repeat_successor(replace(family, revoked_at=noon), FIRST, noon)


def test_an_expired_session_has_no_grace(family: Family, noon: datetime) -> None:
    with pytest.raises(InvalidRefreshToken):
        repeat_successor(replace(family, expires_at=noon), FIRST, noon)

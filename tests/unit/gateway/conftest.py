"""Who makes the tokens."""

import pytest

from tests.unit.gateway.mint import Mint


@pytest.fixture
def mint() -> Mint:
    return Mint()


@pytest.fixture
def thief() -> Mint:
    """Has another key, and calls it by our key's name."""
    return Mint()

"""Issuers of valid and of forged tokens."""

import pytest

from tests.unit.gateway.mint import Mint


@pytest.fixture
def mint() -> Mint:
    return Mint()


@pytest.fixture
def thief() -> Mint:
    """Has another key pair under our key's id."""
    return Mint()

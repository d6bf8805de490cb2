from dataclasses import dataclass

import pytest

from mercato.config import BadConfiguration, load


@dataclass(frozen=True)
class Settings:
    table_name: str
    step_seconds: int
    is_quiet: bool = False


def test_settings_come_from_the_environment_by_name() -> None:
    env = {"TABLE_NAME": "orders", "STEP_SECONDS": "5", "IS_QUIET": "TRUE", "OTHER": "x"}
    assert load(Settings, env) == Settings("orders", 5, is_quiet=True)


def test_a_default_stands_where_nothing_is_set() -> None:
    assert load(Settings, {"TABLE_NAME": "orders", "STEP_SECONDS": "5"}).is_quiet is False


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(Settings, {"STEP_SECONDS": "five", "IS_QUIET": "perhaps"})
    assert str(caught.value).endswith(
        "TABLE_NAME is not set; STEP_SECONDS='five' is not a int; IS_QUIET='perhaps' is not a bool"
    )


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "orders")
    monkeypatch.setenv("STEP_SECONDS", "1")
    assert load(Settings) == Settings("orders", 1)

"""Saved code goes live completely or not at all, and only if it can be imported."""

from __future__ import annotations

import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import reload
from infra.local.reload import Reloader

HANDLERS = {"TeasApi": "teas.api.handler", "TeasSweeper": "teas.sweeper.handler", "CupsApi": "cups.api.handler"}
Said = queue.SimpleQueue[tuple[str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    sources = {
        "functions/teas/teas/__init__.py": "",
        "functions/teas/teas/api.py": "from mercato.taste import TASTE\ndef handler(): return TASTE + ' green'",
        "functions/teas/teas/sweeper.py": "from teas.api import handler",
        "functions/teas/template.yaml": "",
        "functions/cups/cups/__init__.py": "",
        "functions/cups/cups/api.py": "def handler(): return 'blue'",
        "layers/common/mercato/__init__.py": "",
        "layers/common/mercato/taste.py": "TASTE = 'bitter'",
        "template.yaml": "",
    }
    for name, text in sources.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shop"


@pytest.fixture
def said() -> Said:
    return queue.SimpleQueue()


@pytest.fixture
def live(root: Path) -> Path:
    return root / "live"


@pytest.fixture
def reloader(root: Path, live: Path, said: Said) -> Iterator[Reloader]:
    found = Reloader(live, HANDLERS, lambda part, told: said.put((part, told)), root)
    found.start()
    yield found
    found.stop()
    assert not live.exists()


@pytest.fixture
def save(root: Path, reloader: Reloader) -> Callable[[str, str], None]:
    def save(name: str, text: str) -> None:
        (root / name).write_text(text)

    return save


def answer(root: Path, live: Path, handler: str) -> str:
    """The response of a sandbox that starts now, with the links that its bootstrap follows."""
    service = handler.partition(".")[0]
    path = [live / service, live / "mercato", root / "functions" / service, root / "layers/common"]
    code = f"from {handler.rpartition('.')[0]} import handler; print(handler())"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": ":".join(str(part) for part in path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.usefixtures("reloader")
def test_nothing_is_live_beside_what_is_deployed_until_something_is_saved(live: Path) -> None:
    assert reload.code_of(live, "teas.api.handler") == ("", "", "")


def test_a_saved_change_is_live_for_its_service_alone(
    save: Callable[[str, str], None], said: Said, root: Path, live: Path
) -> None:
    save("functions/teas/teas/api.py", "def handler(): return 'white'")

    assert said.get(timeout=30) == ("teas", "reloaded TeasApi, TeasSweeper")
    assert answer(root, live, "teas.sweeper.handler") == "white"
    assert reload.code_of(live, "teas.api.handler") == reload.code_of(live, "teas.sweeper.handler") != ("", "", "")
    assert reload.code_of(live, "cups.api.handler") == ("", "", "")


def test_a_change_of_the_layer_is_live_for_every_function(
    save: Callable[[str, str], None], said: Said, root: Path, live: Path
) -> None:
    save("layers/common/mercato/taste.py", "TASTE = 'sweet'")

    assert said.get(timeout=30) == ("mercato", "reloaded CupsApi, TeasApi, TeasSweeper")
    assert answer(root, live, "teas.api.handler") == "sweet green"
    assert reload.code_of(live, "cups.api.handler") != ("", "", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def handler(:", "SyntaxError: invalid syntax"),
        ("from mercato.taste import FLAVOUR", "ImportError: cannot import name 'FLAVOUR'"),
    ],
)
def test_what_cannot_be_imported_is_told_and_the_code_from_before_stays(
    save: Callable[[str, str], None], said: Said, root: Path, live: Path, text: str, reason: str
) -> None:
    save("functions/teas/teas/api.py", "def handler(): return 'white'")
    said.get(timeout=30)
    before = reload.code_of(live, "teas.api.handler")

    save("functions/teas/teas/api.py", text)

    part, told = said.get(timeout=30)
    assert part == "teas"
    assert told.startswith("the code from before stays live\n")
    assert 'teas/api.py", line 1' in told
    assert reason in told
    assert reload.code_of(live, "teas.api.handler") == before
    assert answer(root, live, "teas.api.handler") == "white"

    save("functions/teas/teas/api.py", "def handler(): return 'black'")
    assert said.get(timeout=30) == ("teas", "reloaded TeasApi, TeasSweeper")
    assert answer(root, live, "teas.api.handler") == "black"


def test_a_service_is_tried_with_the_layer_that_is_live(
    save: Callable[[str, str], None], said: Said, root: Path, live: Path
) -> None:
    save("layers/common/mercato/taste.py", "TASTE, FLAVOUR = 'sweet', 'mint'")
    said.get(timeout=30)
    save("functions/teas/teas/api.py", "from mercato.taste import FLAVOUR\ndef handler(): return FLAVOUR")

    assert said.get(timeout=30) == ("teas", "reloaded TeasApi, TeasSweeper")
    assert answer(root, live, "teas.api.handler") == "mint"


@pytest.mark.parametrize("name", ["template.yaml", "functions/teas/template.yaml"])
def test_a_changed_template_needs_a_deploy(save: Callable[[str, str], None], said: Said, name: str) -> None:
    save(name, "Resources: {}")

    assert said.get(timeout=30) == (name, "changed: `mercato deploy` brings it to the shop")


def test_a_deploy_takes_the_place_of_what_was_saved(save: Callable[[str, str], None], said: Said, live: Path) -> None:
    save("functions/teas/teas/api.py", "def handler(): return 'white'")
    said.get(timeout=30)

    reload.clear(live, reload.saved(live))

    assert reload.code_of(live, "teas.api.handler") == ("", "", "")


def test_code_that_is_saved_during_a_deploy_stays_live(
    save: Callable[[str, str], None], said: Said, root: Path, live: Path
) -> None:
    save("functions/teas/teas/api.py", "def handler(): return 'white'")
    said.get(timeout=30)
    at_the_build = reload.saved(live)
    save("functions/teas/teas/api.py", "def handler(): return 'black'")
    said.get(timeout=30)

    reload.clear(live, at_the_build)

    assert answer(root, live, "teas.api.handler") == "black"


def test_a_service_that_goes_stops_no_other_from_being_reloaded(
    save: Callable[[str, str], None], reloader: Reloader, said: Said, root: Path, live: Path
) -> None:
    reloader.take([root / "functions/gone/gone/api.py"])
    assert said.get(timeout=30)[1].startswith("the code from before stays live\n")

    save("functions/teas/teas/api.py", "def handler(): return 'white'")
    assert said.get(timeout=30) == ("teas", "reloaded TeasApi, TeasSweeper")


def test_old_copies_go(save: Callable[[str, str], None], said: Said, live: Path) -> None:
    for number in range(5):
        save("functions/teas/teas/api.py", f"def handler(): return '{number}'")
        said.get(timeout=30)

    assert len(list((live / ".kept").iterdir())) == 3


def test_where_no_shop_reloads_nothing_is_live(tmp_path: Path) -> None:
    reload.clear(tmp_path / "nothing", reload.saved(tmp_path / "nothing"))
    assert reload.code_of(tmp_path / "nothing", "teas.api.handler") == ("", "", "")

"""Makes saved code live while `mercato up` runs, without a build or a deploy.

    .mercato/reload-<port>/carts    -> .kept/carts-3      the last saved version of functions/carts
    .mercato/reload-<port>/mercato  -> .kept/mercato-1    layers/common/mercato, as mercato-1/mercato

When a file is saved, the reloader copies its service or its layer's package. If every entry point can be imported from
the copy, a link points to the copy. New sandboxes then start with the copy, and the local cloud replaces a sandbox with
older code before its next invocation (`replacing` in infra/local/emulator.py). A deploy deploys the saved code and
removes the links.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path

from watchfiles import DefaultFilter, watch

from infra.paths import HOME, ROOT

LAYERS = {"mercato": "common", "pages": "pages"}  # package → its folder in layers/
_OF_PAGES = ".site.handler"
_KEPT = ".kept"
# Modules that nearly every function imports. They are loaded before the fork, so that an import check is fast.
_PRELOADED = ["aws_lambda_powertools.logging", "botocore.session", "botocore.client", "pydantic", "urllib3"]
_TEMPLATES = (".yaml", ".asl.json")
_GENERATIONS = 3  # copies to keep, because a running sandbox may still import a module from an older copy

Told = Callable[[str, str], None]


def folder(port: int) -> Path:
    """Returns the folder with the live code of the local cloud on `port`."""
    return HOME / f"reload-{port}"


def code_of(folder: Path, handler: str) -> tuple[str, ...]:
    """Returns the live copy of the handler's service and of each layer, "" for none. A sandbox starts with these."""
    return tuple(_target(folder / part) for part in (handler.partition(".")[0], *LAYERS))


def saved(folder: Path) -> dict[str, str]:
    """Returns the live copy of each service and layer. A build that starts now contains the same code."""
    return {link.name: _target(link) for link in folder.glob("[!.]*")}


def clear(folder: Path, deployed: Mapping[str, str]) -> None:
    """Removes the links to deployed copies, so that sandboxes run the deployed code.

    `deployed` is the result of `saved` at the start of the build. Copies that were made later stay live.
    """
    for name, copy in deployed.items():
        if _target(folder / name) == copy:
            (folder / name).unlink(missing_ok=True)


class Reloader:
    """Watches the sources from `start` to `stop`.

    `functions` maps each function's logical id to its handler. `tell` gets the subject ("carts") and the result.
    """

    def __init__(self, folder: Path, functions: Mapping[str, str], tell: Told, root: Path = ROOT) -> None:
        self._folder, self._functions, self._tell, self._root = folder, functions, tell, root
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(_PRELOADED)
        self._ended = threading.Event()
        self._generation = itertools.count(1)
        self._thread = threading.Thread(target=self._watch, daemon=True, name="reload")

    def start(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / _KEPT).mkdir(parents=True)
        forkserver.ensure_running()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(3)
        shutil.rmtree(self._folder, ignore_errors=True)

    def take(self, changed: Iterable[Path]) -> None:
        """Makes the changed services and layers live, each independently."""
        parts = set()
        for path in changed:
            below = path.relative_to(self._root).parts
            if path.name.endswith(_TEMPLATES):
                self._tell("/".join(below), "changed: `mercato deploy` brings it to the shop")
            elif below[0] == "functions" and len(below) > 2:
                parts.add(below[1])
            elif below[0] == "layers" and len(below) > 3 and LAYERS.get(below[2]) == below[1]:
                parts.add(below[2])
        for part in sorted(parts):
            try:
                self._reload(part)
            except OSError as error:  # a file was deleted during the copy; the next save tries again
                self._tell(part, f"the code from before stays live\n{error}")

    def _watch(self) -> None:
        watched = [self._root / name for name in ("functions", "layers", "template.yaml")]
        for changes in watch(*watched, watch_filter=_sources, stop_event=self._ended, debounce=200, step=50):
            self.take(Path(path) for _, path in changes)

    def _reload(self, part: str) -> None:
        functions = {name: handler for name, handler in self._functions.items() if _runs(handler, part)}
        copy = self._copy(part)
        if wrong := self._why_not(copy, functions.values()):
            shutil.rmtree(copy)
            self._tell(part, f"the code from before stays live\n{wrong}")
            return
        link = self._folder / part
        draft = self._folder / _KEPT / f"{part}.link"
        draft.symlink_to(copy)
        draft.replace(link)
        self._forget(part)
        self._tell(part, f"reloaded {', '.join(sorted(functions))}" if functions else "saved; no function runs it")

    def _copy(self, part: str) -> Path:
        copy = self._folder / _KEPT / f"{part}-{next(self._generation)}"
        source, target = (
            (self._root / "layers" / LAYERS[part] / part, copy / part)
            if part in LAYERS
            else (self._root / "functions" / part, copy)
        )
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return copy

    def _why_not(self, copy: Path, handlers: Iterable[str]) -> str:
        """Returns why an entry point cannot be imported with the code of `copy`, or an empty string if all can."""
        modules = sorted({handler.rpartition(".")[0] for handler in handlers})
        live = [str(link) for link in self._folder.glob("[!.]*") if link.name != copy.name.rpartition("-")[0]]
        services = sorted({name.partition(".")[0] for name in modules})
        sources = [str(self._root / "functions" / name) for name in services]
        sources += [str(self._root / "layers" / layer) for layer in LAYERS.values()]
        ours, theirs = self._processes.Pipe(duplex=False)
        process = self._processes.Process(target=_import, args=([str(copy), *live, *sources], modules, theirs))
        process.start()
        theirs.close()
        with ours, open(ours.fileno(), encoding="utf-8", errors="replace", closefd=False) as stderr:
            said = stderr.read()
        process.join()
        if process.exitcode == 0:
            return ""
        frames = said.find(f'  File "{copy}')  # the frames before are those of the import check
        return said[max(0, frames) :].replace(f"{copy}{os.sep}", "").strip()[-2000:] or f"exit {process.exitcode}"

    def _forget(self, part: str) -> None:
        kept = sorted(
            (self._folder / _KEPT).glob(f"{part}-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True
        )
        for old in kept[_GENERATIONS:]:
            shutil.rmtree(old)


def _runs(handler: str, part: str) -> bool:
    """Tells whether the function with this handler runs the code of the service or layer `part`."""
    return part == "mercato" or handler.partition(".")[0] == part or (part == "pages" and handler.endswith(_OF_PAGES))


class _Sources(DefaultFilter):
    """Ignores files that editors and Python write beside the sources."""

    ignore_entity_patterns = (*DefaultFilter.ignore_entity_patterns, r"\.pyc$", r"^\d+$", r"\.tmp$")


_sources = _Sources()


def _import(path: list[str], modules: list[str], stderr: Connection) -> None:
    """Runs in a separate process, which ends with 0 if all `modules` can be imported. Errors go to `stderr`."""
    os.dup2(stderr.fileno(), sys.stderr.fileno())
    sys.dont_write_bytecode = True
    sys.path[:0] = path
    for name in modules:
        importlib.import_module(name)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""

"""Builds the services' code with their packages, the layers and the templates for the local cloud.

The result is that of `sam build`, from the same requirements and the layers' own Makefiles. This build skips unchanged
parts and takes seconds, and `sam build` takes minutes. tests/contract/test_sam_build.py compares the two results.

    .mercato/build/carts-<digest>/          functions/carts with its packages, compiled
    .mercato/build/CommonLayer-<digest>/    the output of the layer's Makefile
    .mercato/deploy-<port>/template.yaml    the template and its nested templates, with paths to the folders above
"""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra import release, templates
from infra.digest import digest
from infra.paths import HOME, ROOT, UV
from infra.trouble import Trouble

_FUNCTION, _LAYER = "AWS::Serverless::Function", "AWS::Serverless::LayerVersion"
_BUILT = HOME / "build"
MESH_LAYER = "MeshLayer"
SERVICES = sorted(path.parent.name for path in ROOT.glob("functions/*/template.yaml"))
_IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
# Files that `sam build` does not copy from a function's folder.
_NO_CODE = shutil.ignore_patterns("__pycache__", "*.pyc")


def prepare(target: Path, only: Collection[str] = (), *, mesh: bool = False) -> Path:
    """Builds the changed parts, writes the templates to `target` and returns the root template's path.

    If `only` names services, the other services' templates in `target` are not changed. The layer with Envoy is built
    for a shop with the `mesh` alone. Raises Trouble if a template is
    invalid, a package cannot be installed or a handler cannot be imported.
    """
    with _one_at_a_time(), ThreadPoolExecutor() as workers:
        checked = workers.submit(templates.check)
        template = _write_templates(target, {name.lower() for name in only}, mesh=mesh)
        check_handlers(template)
        checked.result()
        release.stamp(target, "default")
        return template


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Locks the build folder, because concurrent builds, such as of a shop and of its tests, share it."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_templates(target: Path, only: Collection[str], *, mesh: bool = False) -> Path:
    """Writes the templates in the layout of `sam build`: each nested application in a folder with its name."""
    root = templates.read(ROOT / "template.yaml")
    for name, application in templates.resources_of_type(root, templates.APPLICATION).items():
        source, copy = ROOT / application["Properties"]["Location"], target / name / "template.yaml"
        application["Properties"]["Location"] = f"{name}/template.yaml"
        if only and name.lower() not in only and copy.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        templates.write(copy, _built(source, mesh=mesh))
    templates.write(target / "template.yaml", _with_absolute_paths(root, ROOT))
    return target / "template.yaml"


def _built(path: Path, *, mesh: bool = False) -> templates.Template:
    """Builds a template's functions and layers and returns the template with absolute paths to the results."""
    template = _with_absolute_paths(templates.read(path), path.parent)
    if functions := templates.resources_of_type(template, _FUNCTION).values():
        code = build_service(path.parent)
        for function in functions:
            function["Properties"]["CodeUri"] = str(code)
    for name, layer in templates.resources_of_type(template, _LAYER).items():
        if mesh or name != MESH_LAYER:
            layer["Properties"]["ContentUri"] = str(build_layer(name, Path(layer["Properties"]["ContentUri"])))
    return template


def _with_absolute_paths(template: templates.Template, folder: Path) -> templates.Template:
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for key in templates.PATHS & properties.keys():
            properties[key] = str((folder / properties[key]).resolve())
    return template


def build_service(source: Path) -> Path:
    """Builds a service and returns the folder with its code and the packages of its requirements."""

    def make(unfinished: Path) -> None:
        shutil.copytree(source, unfinished, ignore=_NO_CODE)
        if (source / "requirements.txt").read_text().strip():
            install = [str(UV / "bin/uv"), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
            _run(*install, "--requirement", source / "requirements.txt", "--target", unfinished)
        compile_functions(unfinished)

    return _made(f"{source.name}-{digest(source)}", make)


def build_layer(name: str, source: Path) -> Path:
    """Builds a layer with its Makefile, as `sam build` does, and returns the folder."""

    def make(unfinished: Path) -> None:
        _run("make", "--silent", "-C", source, f"build-{name}", f"ARTIFACTS_DIR={unfinished}")

    return _made(f"{name}-{digest(source)}", make)


def _made(name: str, make: Callable[[Path], None]) -> Path:
    folder, unfinished = _BUILT / name, _BUILT / f"{name}.unfinished"
    if not folder.exists():
        _BUILT.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(folder)
    return folder


def remove_unused() -> None:
    """Removes builds that no shop's templates reference. Runs after a deploy: a failed one needs the old code."""
    with _one_at_a_time():
        named = "".join(path.read_text() for path in HOME.glob("deploy-*/*/template.yaml"))
        for folder in _BUILT.iterdir():
            if folder.is_dir() and folder.name not in named:
                shutil.rmtree(folder)


def compile_functions(folder: Path) -> None:
    """Compiles the sources. On Lambda the folder is read-only, so each cold start would compile them again."""
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def check_handlers(template: Path) -> None:
    """Imports every handler once. A function that cannot be imported would deploy and fail at its first call."""
    subject = digest(ROOT / "functions", ROOT / "layers", ROOT / "requirements.lock")
    passed = HOME / "checked-handlers"
    if passed.exists() and passed.read_text() == subject:
        return
    functions = templates.resources_of_type(templates.read_whole(template), _FUNCTION)
    handlers = {function["Properties"]["Handler"].rpartition(".")[0] for function in functions.values()}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *sorted(handlers)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise Trouble("a handler cannot be imported", done.stderr.strip()[-3000:])
    passed.write_text(subject)


def _run(*command: str | Path) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), str(UV / "bin"), os.environ.get("PATH", os.defpath)))
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise Trouble("the build failed", f"{' '.join(map(str, command))}\n{said}")

"""Reads the templates: one file, or the root template merged with its nested applications."""

from __future__ import annotations

import functools
import json
import os.path
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.digest import digest
from infra.paths import HOME, ROOT
from infra.trouble import Trouble

APPLICATION = "AWS::Serverless::Application"
PATHS = {"CodeUri", "ContentUri", "DefinitionUri", "TemplateURL"}

Template = dict[str, Any]
Lookup = Callable[[str], Any]  # None for a name that it does not know


class _Loader(yaml.CSafeLoader):
    """Loads YAML and converts CloudFormation's short tags to their long forms."""


def _intrinsic(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def read(path: Path) -> Template:
    """Parses a template. Raises Trouble if it is not YAML."""
    try:
        loaded: Template = pickle.loads(_parsed(path.read_text()))  # noqa: S301  # _parsed made it in this process
    except yaml.YAMLError as error:
        raise Trouble(f"{path} is not valid YAML", str(error)) from None
    return loaded


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> bytes:
    """The template of this text, pickled: each reader may change its own copy, which takes a tenth of a parse."""
    return pickle.dumps(yaml.load(text, Loader=_Loader))  # noqa: S506  # it is a SafeLoader


def write(path: Path, template: Template) -> None:
    """Writes the template to a new file. Removes the old one first, which may be a link into a cached build."""
    path.unlink(missing_ok=True)
    path.write_text(yaml.dump(template, Dumper=yaml.CSafeDumper, sort_keys=False))


def applications(root: Path) -> Iterator[Path]:
    """Yields the paths of the templates that `root` nests."""
    for resource in read(root)["Resources"].values():
        if resource["Type"] == APPLICATION:
            yield root.parent / resource["Properties"]["Location"]


def resources_of_type(template: Template, kind: str) -> dict[str, Any]:
    return {name: found for name, found in template["Resources"].items() if found["Type"] == kind}


def read_whole(root: Path) -> Template:
    """Returns the template of one stack with all resources of the root and its applications.

    An application's parameter is replaced by the value that the root passes, an output by its value, and a path is
    relative to the root. The layer, which each application declares, occurs once. Raises Trouble if the globals or
    conditions of two applications differ.
    """
    return _Whole(root).template()


def check() -> None:
    """Raises Trouble if cfn-lint finds an error that AWS would refuse and the emulator would not, such as an unknown
    property or reference. Skips templates that have passed and are unchanged, with those that they nest.
    """
    paths = [
        ROOT / "template.yaml",
        *sorted(ROOT.glob("infra/*.yaml")),
        *sorted(ROOT.glob("functions/*/template.yaml")),
    ]
    subjects = {str(path): digest(path, *_nested(path), ROOT / "requirements.lock") for path in paths}
    passed = HOME / "checked-templates.json"
    known = json.loads(passed.read_text()) if passed.exists() else {}
    if changed := [path for path in subjects if known.get(path) != subjects[path]]:
        command = [str(Path(sys.executable).with_name("cfn-lint")), *changed]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Trouble("a template is not valid", (done.stdout + done.stderr).strip()[-3000:])
        passed.write_text(json.dumps(subjects, indent=2))


def _nested(path: Path) -> Iterator[Path]:
    for resource in read(path)["Resources"].values():
        if resource["Type"] in (APPLICATION, "AWS::CloudFormation::Stack"):
            properties = resource["Properties"]
            yield (path.parent / (properties.get("Location") or properties["TemplateURL"])).resolve()


class _Whole:
    def __init__(self, path: Path) -> None:
        self._root = read(path)
        self._nested = {name: found["Properties"] for name, found in resources_of_type(self._root, APPLICATION).items()}
        self._templates = {name: read(path.parent / found["Location"]) for name, found in self._nested.items()}

    def template(self) -> Template:
        whole: Template = _filled(
            {name: part for name, part in self._root.items() if name != "Resources"}, self._output
        )
        resources = {name: found for name, found in self._root["Resources"].items() if name not in self._nested}
        whole["Resources"] = _filled(resources, self._output)
        for name, template in self._templates.items():
            folder = os.path.dirname(self._nested[name]["Location"])
            for part in ("Globals", "Conditions", "Resources"):
                for key, value in _moved(_filled(template.get(part, {}), self._parameter(name)), folder).items():
                    known = whole.setdefault(part, {}).setdefault(key, value)
                    if known != value and part != "Resources":
                        raise Trouble(
                            f"{key} in the {part} of {name} is not as in the other templates",
                            "Set it at one function instead, or change it in the template of every service.",
                        )
        return whole

    def _parameter(self, application: str) -> Lookup:
        handed_in = self._nested[application].get("Parameters", {})
        declared = self._templates[application].get("Parameters", {})

        def find(name: str) -> Any:
            if name not in declared:
                return None
            value = handed_in.get(name, declared[name].get("Default"))
            if declared[name]["Type"] == "CommaDelimitedList" and "Fn::Join" in value:
                return _filled(value["Fn::Join"][1], self._output)
            return _filled(value, self._output)

        return find

    def _output(self, name: str) -> Any:
        application, is_output, output = name.partition(".Outputs.")
        if not is_output or application not in self._templates:
            return None
        return _filled(self._templates[application]["Outputs"][output]["Value"], self._parameter(application))


def _filled(node: Any, lookup: Lookup) -> Any:
    """Returns `node` with each known reference replaced by its value."""
    if isinstance(node, list):
        return [_filled(value, lookup) for value in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Ref": str(name)}:
            found = lookup(name)
            return node if found is None else found
        case {"Fn::GetAtt": named}:
            name = named if isinstance(named, str) else ".".join(named)
            found = lookup(name)
            return {"Fn::GetAtt": name} if found is None else found
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": re.sub(r"\$\{([\w.:]+)\}", lambda match: _as_text(lookup(match[1]), match[0]), text)}
        case {"Fn::Join": [str(between), [*parts]]}:
            return {"Fn::Sub": between.join(_as_text(_filled(part, lookup)) for part in parts)}
    return {key: _filled(value, lookup) for key, value in node.items()}


def _as_text(value: Any, otherwise: str = "") -> str:
    """Returns the text that Fn::Sub inserts for a value."""
    match value:
        case None:
            return otherwise
        case {"Ref": name} | {"Fn::GetAtt": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": str(text)} | str(text):
            return text
        case {"Fn::If": [_, one, ""]}:  # a part that may be absent is named where it is there
            return _as_text(one)
    raise ValueError(f"{value} is no part of a text")


def _moved(node: Any, folder: str) -> Any:
    """Returns `node` with paths relative to the root instead of to `folder`."""
    if isinstance(node, list):
        return [_moved(value, folder) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: os.path.normpath(os.path.join(folder, value))
        if key in PATHS and isinstance(value, str)
        else _moved(value, folder)
        for key, value in node.items()
    }


if __name__ == "__main__":
    try:
        check()
    except Trouble as trouble:
        sys.exit(str(trouble))

"""What the build makes for the local cloud, what it leaves as it is, and what the deploy changes."""

from __future__ import annotations

import copy
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra import templates
from infra.local import build, deploy
from infra.trouble import Trouble
from tests.contract.test_template import statements
from tests.kit.template import load_template


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two services that share a layer."""
    for module in (build, templates):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "HOME", tmp_path / ".mercato")
    monkeypatch.setattr("infra.digest.ROOT", tmp_path)
    monkeypatch.setattr(build, "_BUILT", tmp_path / ".mercato/build")
    resources: dict[str, Any] = {}
    for name in ("Carts", "Orders"):
        folder = tmp_path / "functions" / name.lower()
        (folder / name.lower()).mkdir(parents=True)
        (folder / name.lower() / "api.py").write_text("ANSWER = 1\n")
        (folder / "requirements.txt").touch()
        function = {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "."}}
        layer = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "../../layers/common"}}
        templates.write(folder / "template.yaml", {"Resources": {f"{name}Api": function, "CommonLayer": layer}})
        location = {"Location": f"functions/{name.lower()}/template.yaml"}
        resources[name] = {"Type": templates.APPLICATION, "Properties": location}
    layer_source = tmp_path / "layers" / "common"
    layer_source.mkdir(parents=True)
    (layer_source / "Makefile").write_text(
        "build-CommonLayer:\n\tmkdir -p $(ARTIFACTS_DIR)/python\n\tcp words.py $(ARTIFACTS_DIR)/python\n"
    )
    (layer_source / "words.py").write_text("WORD = 1\n")
    templates.write(tmp_path / "template.yaml", {"Resources": resources})
    return tmp_path


def built(root: Path, *only: str) -> dict[str, Any]:
    """The properties of the functions and layers, by service."""
    target = root / ".mercato" / "deploy-1"
    build._write_templates(target, only)
    return {
        path.parent.name: {name: found["Properties"] for name, found in templates.read(path)["Resources"].items()}
        for path in templates.applications(target / "template.yaml")
    }


def test_a_service_is_built_with_its_code_compiled_and_the_layer_once(root: Path) -> None:
    found = built(root)
    code = Path(found["Carts"]["CartsApi"]["CodeUri"])
    assert (code / "carts/api.py").read_text() == "ANSWER = 1\n"
    assert list((code / "carts/__pycache__").glob("api.*.pyc"))
    layer = Path(found["Carts"]["CommonLayer"]["ContentUri"])
    assert (layer / "python/words.py").exists()
    assert found["Orders"]["CommonLayer"]["ContentUri"] == str(layer)


def test_what_has_not_changed_is_not_built_again(root: Path) -> None:
    before = built(root)
    kept = Path(before["Orders"]["OrdersApi"]["CodeUri"]).stat().st_ino
    (root / "functions/carts/carts/api.py").write_text("ANSWER = 2\n")
    after = built(root)
    assert after["Orders"] == before["Orders"]
    assert Path(after["Orders"]["OrdersApi"]["CodeUri"]).stat().st_ino == kept
    assert after["Carts"]["CartsApi"] != before["Carts"]["CartsApi"]
    assert after["Carts"]["CommonLayer"] == before["Carts"]["CommonLayer"]


def test_services_that_are_not_named_stay_as_they_were_deployed(root: Path) -> None:
    before = built(root)
    for name in ("carts", "orders"):
        (root / "functions" / name / name / "api.py").write_text("ANSWER = 2\n")
    after = built(root, "carts")
    assert after["Orders"] == before["Orders"]
    assert after["Carts"] != before["Carts"]


def test_a_build_that_died_is_made_again(root: Path) -> None:
    (root / "layers/common/Makefile").write_text(
        "build-CommonLayer:\n\tmkdir -p $(ARTIFACTS_DIR)/python\n\tcp nothing.py $(ARTIFACTS_DIR)/python\n"
    )
    with pytest.raises(Trouble, match=r"nothing\.py"):
        built(root)
    (root / "layers/common/nothing.py").write_text("WORD = 2\n")
    layer = Path(built(root)["Carts"]["CommonLayer"]["ContentUri"])
    assert (layer / "python/nothing.py").exists()


def test_what_no_deployed_template_names_is_removed(root: Path) -> None:
    old = Path(built(root)["Carts"]["CartsApi"]["CodeUri"])
    (root / "functions/carts/carts/api.py").write_text("ANSWER = 2\n")
    found = built(root)
    build.remove_unused()
    assert not old.exists()
    assert Path(found["Carts"]["CartsApi"]["CodeUri"]).exists()
    assert Path(found["Orders"]["OrdersApi"]["CodeUri"]).exists()


def test_a_template_that_is_no_yaml_is_named_and_what_is_built_stays(root: Path) -> None:
    before = built(root)
    (root / "functions/carts/template.yaml").write_text("Resources: [\n")
    with pytest.raises(Trouble, match=r"functions/carts/template\.yaml is not valid YAML"):
        built(root)
    assert Path(before["Carts"]["CartsApi"]["CodeUri"]).exists()


def test_a_service_whose_globals_differ_from_the_others_is_named(root: Path) -> None:
    path = root / "functions/carts/template.yaml"
    templates.write(path, templates.read(path) | {"Globals": {"Function": {"Timeout": 19}}})
    other = root / "functions/orders/template.yaml"
    templates.write(other, templates.read(other) | {"Globals": {"Function": {"Timeout": 20}}})
    with pytest.raises(Trouble, match="Function in the Globals of Orders") as trouble:
        templates.read_whole(root / "template.yaml")
    assert "every service" in trouble.value.remedy


def test_templates_that_passed_and_those_beside_a_change_are_not_checked_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".mercato").mkdir()
    (root / "requirements.lock").touch()
    checked: list[list[str]] = []

    def lint(command: list[str], **_: Any) -> Any:
        checked.append([str(Path(path).relative_to(root)) for path in command[1:]])
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("infra.templates.subprocess.run", lint)
    templates.check()
    templates.check()
    (root / "functions/carts/template.yaml").write_text("Resources: {}\n")
    templates.check()
    every = ["template.yaml", "functions/carts/template.yaml", "functions/orders/template.yaml"]
    assert [sorted(paths) for paths in checked] == [sorted(every), sorted(every[:2])]


def test_what_is_uploaded_is_the_same_for_the_same_code_and_starts_by_itself(tmp_path: Path) -> None:
    (tmp_path / "carts").mkdir()
    (tmp_path / "carts/api.py").write_text("ANSWER = 1\n")
    packed = deploy.zipped(tmp_path, "#!/bin/sh\n")
    assert packed == deploy.zipped(tmp_path, "#!/bin/sh\n") != deploy.zipped(tmp_path, "#!/bin/bash\n")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["carts/api.py", "bootstrap"]
        assert archive.getinfo("bootstrap").external_attr >> 16 & stat.S_IXUSR


def resources_by_action(template: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(found["Action"]), str(found.get("Resource"))) for found in statements(template)]


def test_the_permissions_to_resume_to_mail_and_to_text_are_widened_and_no_other() -> None:
    template = load_template()
    local = copy.deepcopy(template)
    deploy.widen_permissions(local["Resources"])

    pairs = zip(resources_by_action(template), resources_by_action(local), strict=True)
    changed = [(before, after) for before, after in pairs if before != after]
    resume, mail = [("['states:SendTaskSuccess']", "*")] * 4, [("['ses:SendEmail']", "*")] * 3
    text = [("['sms-voice:SendTextMessage']", "*")]
    assert sorted(after for _, after in changed) == sorted(resume + mail + text)
    changed = [one for one in changed if one[1] in resume]
    machine = "stateMachine:${AWS::StackName}-*"
    assert machine in changed[0][0][1], "the boundary"
    machines = [before[1] for before, _ in changed[1:]]
    assert machines.count("{'Ref': 'OrderSaga'}") == 2, "operators and the orders' consumer"
    assert sum("-order'" in machine for machine in machines) == 1, "the orders' steps of the saga"

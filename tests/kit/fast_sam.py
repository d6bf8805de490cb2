"""SAM CLI with half of its work: `python -m tests.kit.fast_sam build ...` does what `sam build ...` does.

- libyaml reads and writes the templates of the twenty stacks, and not the Python code of the same library.
- SAM validates its own list of policy templates for each stack. It never changes, so here it is not validated.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

with warnings.catch_warnings(action="ignore"):
    from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor


@contextmanager
def trusting_its_own_files() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PolicyTemplatesProcessor, "_is_valid_templates_dict", lambda *_: True)
        yield


def main() -> None:
    library: Any = yaml
    library.SafeLoader, library.SafeDumper = yaml.CSafeLoader, yaml.CSafeDumper
    from samcli.cli.main import cli  # its modules take what is in yaml when they are imported

    command: Callable[[], None] = cli
    with trusting_its_own_files():
        command()


if __name__ == "__main__":
    main()

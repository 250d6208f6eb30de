from __future__ import annotations

import shlex
import tomllib

import pytest
from support.environment import REPOSITORY

from noisette.extras import install_command

EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TEXTS = (".py", ".md", ".yaml")


def names(requirements: list[str]) -> set[str]:
    return {requirement.partition(">=")[0].partition("<")[0] for requirement in requirements}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_command_names_the_packages_of_an_extra_and_not_noisette(extra: str) -> None:
    pip, install, *packages = shlex.split(install_command(extra))
    assert (pip, install) == ("pip", "install")
    assert names(packages) == names(EXTRAS[extra])


def test_nothing_tells_to_install_noisette_from_an_index() -> None:
    folders = ("core", "plugins", "flows", "docs", "configs")
    files = [path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.suffix in TEXTS]
    assert len(files) > 100
    assert [path for path in files if "noisette[" in path.read_text() and path.name != "extras.py"] == []

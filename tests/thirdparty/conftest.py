"""A stranger's environment with a generated package of every kind, and a tracker, all installed with pip."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.environment import Environment
from support.third_party import CONFIG, PLUGINS, ThirdPartyPackages, ThirdPartyRun


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> ThirdPartyPackages:
    environment = Environment.create(tmp_path_factory.mktemp("stranger"))
    folder = environment.folder / "packages"
    folder.mkdir()
    written = {
        kind: environment.noisette("plugins", "new", kind, name, cwd=folder) for kind, name in PLUGINS.items()
    }
    for done in written.values():
        assert done.returncode == 0, done.stderr
    wheels = {kind: environment.wheel(folder / f"noisette-{name}") for kind, name in PLUGINS.items()}
    diary = environment.wheel(Path(__file__).parent / "diary")
    environment.pip("install", *map(str, [*wheels.values(), diary]))
    return ThirdPartyPackages(environment, folder, wheels, written)


@pytest.fixture(scope="session")
def third_party_run(third_party: ThirdPartyPackages, tmp_path_factory: pytest.TempPathFactory) -> ThirdPartyRun:
    folder = tmp_path_factory.mktemp("work")
    (folder / "all.yaml").write_text(yaml.safe_dump(CONFIG))
    done = third_party.environment.noisette(
        "run", "all.yaml", "--json", cwd=folder, DIARY=str(folder / "diary.jsonl")
    )
    assert done.returncode == 0, done.stderr
    return ThirdPartyRun(third_party, folder, done)

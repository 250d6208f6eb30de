"""The built-in plugins have no privilege: any folder of them may go, and the rest works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import noisette_plugins
from noisette import registry

SOURCE = Path(noisette_plugins.__file__).parent
KIND = {
    "schedules": "schedule",
    "objectives": "objective",
    "backbones": "backbone",
    "samplers": "sampler",
    "features": "features",
    "metrics": "metric",
    "datasets": "dataset",
}

SCRIPT = """
import json, sys
from noisette import PluginError, registry
kinds, (gone, name) = {kinds!r}, {gone!r}
try:
    registry().find(gone, name)
    message = ""
except PluginError as error:
    message = str(error)
heavy = [name for name in ("torch", "numpy", "sklearn", "torchvision") if name in sys.modules]
print(json.dumps([{{kind: registry().names(kind) for kind in kinds}}, message, heavy]))
"""


def test_every_folder_is_a_kind() -> None:
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert folders == set(KIND)
    assert registry().broken == []


@pytest.mark.parametrize("folder", KIND)
def test_a_folder_may_be_deleted(folder: str, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / SOURCE.name / folder)
    known = {kind: registry().names(kind) for kind in KIND.values()}
    gone = (KIND[folder], known[KIND[folder]][0])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(kinds=list(KIND.values()), gone=gone)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    left, message, heavy = json.loads(done.stdout)
    assert left == {**known, KIND[folder]: []}
    assert message.startswith(f"no {gone[0]} {gone[1]!r}; there is none; broken: noisette ")
    assert f"entry point {folder!r}: ModuleNotFoundError: No module named 'noisette_plugins.{folder}'" in message
    assert heavy == []

"""What is published: source archive, wheel, and the wheel in an environment of its own, away from the sources."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.environment import bytecode

from noisette import registry

REPOSITORY = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel, and borrows all else from this one."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    borrowed = "\n".join(path for path in site.getsitepackages() if Path(path).is_dir())
    (folder / "lib" / version / "site-packages" / "borrowed.pth").write_text(borrowed + "\n")
    wheel = next(built.glob("*.whl"))
    command = ["pip", "install", "--no-deps", "--offline", "--python", str(python), str(wheel)]
    subprocess.run([sys.executable, "-m", "uv", *command], check=True, capture_output=True)
    return folder / "bin"


def run(command: Path, *arguments: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NOISETTE"))}
    environment |= bytecode()
    done = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_archives_hold_what_they_should(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "configs/digits.yaml"} <= source
    assert any(name.startswith("tests/core/") for name in source)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"noisette", "noisette_plugins", "noisette_flows"}
    assert {f"{package}/py.typed" for package in tops} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    sources = {path.relative_to(root).as_posix() for root in _roots() for path in root.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources


def _roots() -> list[Path]:
    return [REPOSITORY / root for root in ("core", "plugins", "flows")]


def test_the_wheel_lists_every_plugin(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run(installed / "noisette", "plugins", "list", "--json", cwd=tmp_path))
    assert {(one["kind"], one["name"], one["status"]) for one in listed} == {
        (found.plugin.kind, found.plugin.name, "ok") for found in registry().found
    }
    assert {one["distribution"] for one in listed} == {"noisette"}


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    script = "import noisette, noisette_plugins, noisette_flows as f; print(noisette.__file__, f.__file__)"
    places = run(installed / "python", "-c", script, cwd=tmp_path).split()
    assert [Path(place).is_relative_to(installed.parent) for place in places] == [True, True]
    assert "Usage: noisette" in run(installed / "noisette", "--help", cwd=tmp_path)


def test_the_wheel_has_a_stage_at_work(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("dataset: digits\npreparation: {limit: 20}\n")
    script = (
        "from noisette import Experiment, prepare\n"
        "prepared = prepare(Experiment.load('tiny.yaml'), 'out')\n"
        "print(prepared.images('train').shape)"
    )
    assert run(installed / "python", "-c", script, cwd=tmp_path) == "(20, 1, 8, 8)\n"

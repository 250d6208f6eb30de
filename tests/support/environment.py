"""A stranger's machine: a fresh environment with pip, noisette's wheel, and a home of its own.

Torch and the other requirements are borrowed from the environment of the tests; nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["REPOSITORY", "Done", "Environment", "bytecode"]

REPOSITORY = Path(__file__).parent.parent.parent

_OURS = ("MLFLOW_", "NOISETTE_", "PIP_", "PREFECT_", "PYTHON", "UV_", "VIRTUAL_ENV")

Done = subprocess.CompletedProcess[str]


def bytecode() -> dict[str, str]:
    """Return where compiled modules are kept, if that was said: borrowed libraries are not compiled once more."""
    return {key: value for key, value in os.environ.items() if key == "PYTHONPYCACHEPREFIX"}


@dataclass(frozen=True)
class Environment:
    """A fresh environment in a folder."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Make the environment and install noisette's wheel into it, built from these sources."""
        there = cls(folder)
        (folder / "home").mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", there.venv], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        borrowed = there.venv / "lib" / version / "site-packages" / "borrowed.pth"
        borrowed.write_text("\n".join(path for path in site.getsitepackages() if Path(path).is_dir()) + "\n")
        there.pip("install", "--no-deps", "--ignore-installed", str(there.wheel(REPOSITORY)))
        return there

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def variables(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        return {
            **kept,
            **bytecode(),
            "PATH": f"{self.venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: build with the hatchling that is there
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "100",
        }

    def run(self, *command: str | Path, cwd: Path, **variables: str) -> Done:
        """Run a command in the environment."""
        every = {**self.variables, **variables}
        return subprocess.run(command, cwd=cwd, env=every, capture_output=True, text=True, timeout=900, check=False)

    def noisette(self, *arguments: str, cwd: Path, **variables: str) -> Done:
        return self.run(self.venv / "bin" / "noisette", *arguments, cwd=cwd, **variables)

    def python(self, *arguments: str, cwd: Path) -> Done:
        return self.run(self.venv / "bin" / "python", *arguments, cwd=cwd)

    def pip(self, *arguments: str) -> None:
        done = self.python("-m", "pip", *arguments, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def wheel(self, package: Path) -> Path:
        """Build the wheel of a package."""
        folder = self.folder / "wheels" / package.name
        done = self.python("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=package)
        assert done.returncode == 0, done.stdout + done.stderr
        return next(folder.glob("*.whl"))

    def plugins(self, cwd: Path) -> list[dict[str, Any]]:
        """Return what `noisette plugins list --json` says."""
        done = self.noisette("plugins", "list", "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

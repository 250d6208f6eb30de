from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

MODULE = [sys.executable, "-m", "noisette"]
SCRIPT = [str(Path(sys.executable).with_name("noisette"))]


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return done.stdout


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_the_command_says_its_version(command: list[str]) -> None:
    assert run(*command, "--version") == f"noisette {version('noisette')}\n"


def test_the_shell_completes_commands_and_options() -> None:
    def completed(words: str, index: int) -> list[str]:
        asked = {"_NOISETTE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return run(*SCRIPT, **asked).split()

    assert completed("noisette sam", 1) == ["sample"]
    assert "--sampler" in completed("noisette sample --sam", 2)
    assert completed("noisette nothing", 1) == []  # control


def test_the_device_is_chosen_before_the_command(tmp_path: Path) -> None:
    shown = "import os; from noisette_flows.cli import app; app(standalone_mode=False); print(os.environ[NAME])"
    command = [sys.executable, "-c", shown.replace("NAME", "'NOISETTE_DEVICE'")]
    schema = ["schema", "--output", str(tmp_path / "schema.json")]
    assert run(*command, "--device", "cpu", *schema).splitlines()[-1] == "cpu"
    refused = subprocess.run([*SCRIPT, "--device", "tpu", "schema"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "'cpu'" in refused.stderr

"""A working folder of a stranger: its modules do not run, nor what its settings name; innocent ones do no harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import free_port
from support.workspace import Workspace

pytestmark = pytest.mark.slow

INNOCENT = ("queue", "click", "calendar", "uvicorn", "prefect", "mlflow", "torch", "json", "noisette_flows")
TOUCH = "import pathlib\npathlib.Path({!r}).touch()\n"
TRAP = """
version: 1
handlers:
  trap: {{"()": os.system, command: "touch {ran}"}}
root: {{handlers: [trap]}}
"""


def plant(workspace: Workspace) -> Path:
    """Put modules of common names into the folder; return the file that each makes when it is imported."""
    ran = workspace.folder / "ran"
    for name in INNOCENT:
        (workspace.folder / f"{name}.py").write_text(TOUCH.format(str(ran)))
    return ran


def test_modules_in_the_working_folder_are_not_imported(workspace: Workspace) -> None:
    ran = plant(workspace)
    control = [sys.executable, "-m", "uvicorn", "--help"]
    subprocess.run(control, cwd=workspace.folder, env=workspace.environment, capture_output=True, check=False)
    assert ran.exists()  # they would be
    ran.unlink()
    two = ("--set", "training.processes=2", "--set", "training.batch_size=8")
    done = workspace.noisette("prepare", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    done = workspace.noisette("train", "tiny.yaml", *two)
    assert done.returncode == 0, done.stderr
    assert "MLflow" not in done.stderr  # its sender has worked as well
    assert not ran.exists()


def test_workers_start_flow_runs_without_the_working_folder(workspace: Workspace) -> None:
    """The command of prefect.yaml, up to the point where it needs a flow run."""
    ran = plant(workspace)
    for command in ("-P -m noisette_flows.deploying.worker_entry", "-m prefect.engine"):
        environment = {**workspace.environment, "PREFECT__FLOW_RUN_ID": "no id"}
        if "-P" not in command:
            environment["PYTHONSAFEPATH"] = "1"  # which `noisette serve` hands on
        done = subprocess.run(
            [sys.executable, *command.split()],
            cwd=workspace.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "badly formed hexadecimal UUID" in done.stdout + done.stderr
        assert not ran.exists(), command


@pytest.mark.parametrize("file", ["prefect.toml", "pyproject.toml", ".env"])
def test_settings_in_the_working_folder_run_nothing(workspace: Workspace, file: str) -> None:
    ran = workspace.folder / "ran"
    (workspace.folder / "logging.yml").write_text(TRAP.format(ran=ran))
    table = "logging" if file == "prefect.toml" else "tool.prefect.logging"
    line = 'PREFECT_LOGGING_CONFIG_PATH="./logging.yml"' if file == ".env" else 'config_path = "./logging.yml"'
    (workspace.folder / file).write_text(line if file == ".env" else f"[{table}]\n{line}\n")
    ask = [sys.executable, "-P", "-c", "import sys; [__import__(name) for name in sys.argv[1:]]"]
    for modules, runs in (
        (["prefect.logging.configuration", "prefect.main"], True),
        (["noisette_flows.pipeline"], False),
    ):
        ran.unlink(missing_ok=True)
        subprocess.run(
            [*ask, *modules], cwd=workspace.folder, env=workspace.environment, capture_output=True, check=False
        )
        assert ran.exists() == runs


def test_a_server_that_the_working_folder_names_is_told_of(workspace: Workspace) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    (workspace.folder / "prefect.toml").write_text(f'[api]\nurl = "{url}"\n')
    done = workspace.noisette("prepare", "tiny.yaml")
    assert done.returncode == 2
    assert f"in this folder has Prefect's server at {url} used" in " ".join(done.stderr.split())
    (workspace.folder / "prefect.toml").unlink()
    there = workspace.folder / "prefect"
    there.mkdir(exist_ok=True)
    (there / "profiles.toml").write_text(f'active = "work"\n[profiles.work]\nPREFECT_API_URL = "{url}"\n')
    done = workspace.noisette("prepare", "tiny.yaml")  # the control: the user's own profile
    assert done.returncode == 2
    assert "in this folder" not in done.stderr

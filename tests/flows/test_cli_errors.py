from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.workspace import Workspace

HEAVY = ("torch", "torchvision", "numpy", "prefect", "mlflow", "sklearn", "PIL", "scipy", "pandas")

PROBE = """
import json, sys
from noisette_flows.cli import main
sys.argv = ["noisette", *sys.argv[1:]]
try:
    main()
except SystemExit as done:
    code = done.code
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["plugins", "list"], 0),
        (["plugins", "show", "unet"], 0),
        (["run", "tiny.yaml", "--set", "training.stepz=5"], 2),
        (["run", "tiny.yaml", "--set", "sampling.samplers=[ddmi]"], 2),
        (["train", "missing.yaml"], 2),
        (["compare", "--help"], 0),
        (["compare", "missing"], 2),
        (["compare", "tiny.yaml", "--samplers", "ddim:etta=1"], 2),
        (["figure", "denoise", "--help"], 0),
        (["figure", "edit", "missing.yaml", "image.png"], 2),
        (["export", "missing.yaml", "folder"], 2),
    ],
    ids=str,
)
def test_answers_that_need_nothing_heavy_import_nothing_heavy(
    workspace: Workspace, arguments: list[str], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=workspace.folder,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stderr.splitlines()[-1])
    assert seen["code"] == code, done.stderr
    assert not set(HEAVY) & set(seen["modules"])
    assert "noisette.plugins" in seen["modules"]  # the probe looks at the right interpreter


def test_all_problems_of_a_config_come_at_once_without_a_traceback(workspace: Workspace) -> None:
    wrong = ["--set", "training.stepz=5", "--set", "training.lr=-1", "--set", "schedule=linaer"]
    done = workspace.noisette("run", "tiny.yaml", *wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "3 problems" in done.stderr
    for part in ("training.stepz", "did you mean 'steps'?", "training.lr", "did you mean 'linear'?"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workspace.folder / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run", "missing.yaml"], "missing.yaml"),
        (["run", "tiny.yaml", "--set", "training.steps"], "PATH=VALUE"),
        (["run"], "CONFIG"),
        (["rum", "tiny.yaml"], "rum"),
        (["sample", "tiny.yaml", "--steps", "5"], "--sampler"),
    ],
    ids=str,
)
def test_the_users_mistakes_end_in_2_with_one_message(
    workspace: Workspace, arguments: list[str], reason: str
) -> None:
    done = workspace.noisette(*arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_a_stage_says_which_comes_before_it(served: Workspace, command: str) -> None:
    done = served.noisette(command, "tiny.yaml")
    assert done.returncode == 2
    assert "run the train stage first" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_shows_its_traceback_and_says_what_it_is(workspace: Workspace) -> None:
    broken = PROBE.replace(
        "main()", "import noisette_flows.cli.runner as w; w.FlowRequest.stages = None; main()", 1
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, "run", "tiny.yaml"],
        cwd=workspace.folder,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stderr.splitlines()[-1])["code"] == 1
    assert "TypeError" in done.stderr
    assert "This is a bug in noisette" in done.stderr

"""How the command shows its arguments, and whom it blames for a wrong option."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisette import ConfigError, Experiment
from noisette.config import load
from noisette_flows.cli import app

USAGES = {
    "run": "CONFIG",
    "train": "CONFIG",
    "evaluate": "CONFIG",
    "evaluate-folders": "IMAGES REAL",
    "compare": "CHECKPOINT...",
    "export": "CHECKPOINT FOLDER",
    "import": "SOURCE [CONFIG]",
    "plugins new": "KIND NAME",
    "plugins show": "[KIND] NAME",
    "figure forward": "[IMAGE...]",
    "figure edit": "CHECKPOINT IMAGE",
    "runs remove": "RUN...",
}


@pytest.mark.parametrize("command", USAGES)
def test_arguments_are_named_without_braces(command: str) -> None:
    output = CliRunner().invoke(app, [*command.split(), "--help"]).output
    (usage,) = [line for line in output.splitlines() if "Usage:" in line]
    assert usage.strip() == f"Usage: noisette {command} [OPTIONS] {USAGES[command]}"


@pytest.mark.parametrize("reading", [Experiment.load, load])
@pytest.mark.parametrize("overrides", [["training.stepz=5"], {"training.stepz": 5}])
def test_a_wrong_override_is_not_blamed_on_the_file(tmp_path: Path, reading, overrides) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("dataset: digits\ntraining: {lr: -1}\n")
    with pytest.raises(ConfigError) as caught:
        reading(config, overrides)
    told = str(caught.value).splitlines()
    assert [line.strip().partition(":")[0] for line in told[1:]] == ["training.lr", "--set training.stepz"]


def test_again_names_the_stages(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dataset: digits\n")
    words = ["run", str(tmp_path / "c.yaml"), "--again", "smaple", "--output", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, ConfigError)
    told = "expected one of prepare, train, sample, figures, evaluate; got 'smaple' (did you mean 'sample'?)"
    assert told in str(done.exception)

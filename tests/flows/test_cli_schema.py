"""`noisette schema`: JSON on the standard output, or in a file with the line that an editor wants."""

from __future__ import annotations

import json

import yaml
from jsonschema import Draft202012Validator
from support.packages import RALSTON, install
from support.workspace import Workspace


def test_the_schema_is_printed_and_takes_the_tiny_config(workspace: Workspace) -> None:
    done = workspace.noisette("schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = Draft202012Validator(json.loads(done.stdout))
    config = yaml.safe_load((workspace.folder / "tiny.yaml").read_text())
    assert schema.is_valid(config)
    assert not schema.is_valid({**config, "trainig": {}})


def test_the_file_holds_the_options_of_installed_packages(workspace: Workspace) -> None:
    install(workspace.folder, "noisette-ralston", RALSTON)
    done = workspace.noisette("schema", "--output", "schema.json", PYTHONPATH=str(workspace.folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "# yaml-language-server: $schema=schema.json"
    schema = Draft202012Validator(json.loads((workspace.folder / "schema.json").read_text()))
    ralston = {"dataset": "digits", "sampling": {"samplers": [{"name": "ralston", "steps": 5}]}}
    assert schema.is_valid(ralston)
    without = json.loads(workspace.noisette("schema").stdout)
    assert not Draft202012Validator(without).is_valid(ralston)  # control


def test_a_file_that_cannot_be_written_is_named(workspace: Workspace) -> None:
    done = workspace.noisette("schema", "--output", "no/such/schema.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no/such/schema.json: cannot be written: No such file or directory\n"

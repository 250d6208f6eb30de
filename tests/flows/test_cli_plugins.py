from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.packages import install
from support.workspace import Workspace

from noisette.contracts import KINDS
from noisette.plugins import registry
from noisette_flows.display.plugins import example, options

SICK = "import no_such_module"
CLASH = '''
from typing import ClassVar
from noisette import Sampler, hookimpl

class Mine(Sampler):
    """Another one of that [name]."""
    name: ClassVar[str] = "ddim"

    def trajectory(self, denoise, x, noise):
        yield x

@hookimpl
def plugins():
    yield Mine
'''


def listed(workspace: Workspace, *arguments: str, **environment: str) -> list[dict[str, Any]]:
    done = workspace.noisette("plugins", "list", "--json", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kind_is_listed_with_where_it_comes_from(workspace: Workspace) -> None:
    lines = [line for line in listed(workspace) if line["status"] == "ok"]
    assert {line["kind"] for line in lines} == set(KINDS)
    assert all(line["distribution"] == "noisette" and line["version"] and line["description"] for line in lines)
    samplers = [line for line in listed(workspace, "--kind", "sampler") if line["status"] == "ok"]
    assert {"ddim", "ddpm"} <= {line["name"] for line in samplers}
    assert {line["kind"] for line in samplers} == {"sampler"}


def test_the_table_tells_the_same(workspace: Workspace) -> None:
    done = workspace.noisette("plugins", "list")
    for line in listed(workspace):
        shown = [
            words for words in map(str.split, done.stdout.splitlines()) if words[:2] == [line["kind"], line["name"]]
        ]
        assert len(shown) == 1
        assert shown[0][2:5] == [line["version"], line["distribution"], "ok"]


def test_a_broken_package_is_listed_with_its_reason_and_the_rest_works(workspace: Workspace) -> None:
    install(workspace.folder, "noisette-sick", SICK)
    path = {"PYTHONPATH": str(workspace.folder)}
    (broken,) = [line for line in listed(workspace, **path) if line["distribution"] == "noisette-sick"]
    assert (broken["status"], broken["version"], broken["entry_point"]) == ("broken", "1.5", "main")
    assert "no_such_module" in broken["description"]
    shown = workspace.noisette("plugins", "list", **path)
    assert "noisette-sick 1.5, entry point 'main'" in shown.stdout
    assert workspace.noisette("plugins", "show", "ddim", **path).returncode == 0


def test_two_plugins_of_one_name_are_both_marked(workspace: Workspace) -> None:
    install(workspace.folder, "noisette-clash", CLASH)
    path = {"PYTHONPATH": str(workspace.folder)}
    lines = [line for line in listed(workspace, "-k", "sampler", **path) if line["name"] == "ddim"]
    assert [line["status"] for line in lines] == ["ambiguous", "ambiguous"]
    assert any("noisette-clash:ddim" in line["description"] for line in lines)
    refused = workspace.noisette("plugins", "show", "ddim", **path)
    assert refused.returncode == 2
    assert "write noisette:ddim or noisette-clash:ddim" in refused.stderr
    chosen = workspace.noisette("plugins", "show", "sampler", "noisette-clash:ddim", **path)
    assert "Another one of that [name]." in chosen.stdout


def test_show_gives_options_paper_and_an_example(workspace: Workspace) -> None:
    done = workspace.noisette("plugins", "show", "ddim")
    assert "Song, Meng & Ermon 2021" in done.stdout
    assert "0 is deterministic, 1 is ancestral sampling" in done.stdout
    detail = json.loads(workspace.noisette("plugins", "show", "sampler", "ddim", "--json").stdout)
    (eta,) = [option for option in detail["options"] if option["name"] == "eta"]
    assert eta == {
        "name": "eta",
        "type": "number >= 0, <= 1",
        "required": False,
        "default": 0.0,
        "description": "0 is deterministic, 1 is ancestral sampling",
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["ddimm"], "did you mean 'ddim'?"),
        (["sampler", "ddimm"], "did you mean 'ddim'?"),
        (["smapler", "ddim"], "did you mean 'sampler'?"),
        (["a", "b", "c"], "expected a name, or a kind and a name"),
    ],
)
def test_a_wrong_name_gets_the_nearest_and_exit_code_2(workspace: Workspace, words: list[str], reason: str) -> None:
    done = workspace.noisette("plugins", "show", *words)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("found", registry().found, ids=lambda found: f"{found.plugin.kind}-{found.plugin.name}")
def test_the_example_of_every_plugin_is_a_config_that_names_it(found: Any, tmp_path: Path) -> None:
    plugin = found.plugin
    value = yaml.safe_load(example(plugin))
    while "name" not in value:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    assert value["name"] == plugin.name
    required = {option["name"]: option["type"] for option in options(plugin) if option["required"]}
    given = {key: option for key, option in value.items() if key not in ("name", *required)}
    filled = {key: [0.5] if kind.startswith("list") else str(tmp_path) for key, kind in required.items()}
    assert plugin.model_validate(given | filled) == plugin.model_validate(filled)


CHATTY = """
from noisette import hookimpl

@hookimpl
def on_run_start(run):
    print(f"a stage starts: {run.name}")

@hookimpl
def on_run_end(run):
    raise ValueError("no space for my notes")
"""


@pytest.mark.slow
def test_a_package_that_listens_is_listed_and_does_not_break_json(served: Workspace) -> None:
    install(served.folder, "noisette-chatty", CHATTY)
    path = {"PYTHONPATH": str(served.folder)}
    (line,) = [line for line in listed(served, **path) if line["distribution"] == "noisette-chatty"]
    assert (line["kind"], line["status"]) == ("hooks", "ok")
    assert line["description"] == "listens to on_run_start, on_run_end"
    done = served.noisette("prepare", "tiny.yaml", "--json", **path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "a stage starts: digits" in done.stderr
    assert f"no space for my notes') ({served.folder}/noisette_chatty.py, line 10)" in done.stderr

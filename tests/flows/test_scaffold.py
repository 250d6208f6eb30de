"""New packages: their names, what is written, and that it is code; tests/thirdparty builds and runs them."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from support.packages import Site, install
from support.workspace import Workspace

from noisette import Experiment, PluginError, StorageError
from noisette.contracts import KINDS
from noisette.plugins.discovery import find_fault
from noisette_flows.scaffold import HOOKS, Names, write_package


@pytest.mark.parametrize("name", ["heun", "h", "heun-2", "x2-y", "none", "class", "import", "true", "a" * 40])
def test_a_name_of_lower_case_words_is_taken(name: str) -> None:
    names = Names.free("schedule", name)
    assert names.distribution == f"noisette-{name}"
    assert names.module.isidentifier()
    assert names.class_name(set()).isidentifier()


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("MyHeun", "my-heun"),
        ("my_heun", "my-heun"),
        ("Heun2M", "heun2-m"),
        ("my heun", "my-heun"),
        ("../huen", "huen"),
        ("a--b", "a-b"),
        ("-a", "a"),
        ("a.b", "a-b"),
        ("2m", "my-plugin"),
        ("", "my-plugin"),
        ("é", "my-plugin"),
        ("a" * 41, "a" * 40),
        ("a\n", "a"),
    ],
)
def test_another_is_refused_with_one_that_can_be(name: str, suggested: str) -> None:
    with pytest.raises(PluginError, match="expected a name of at most 40") as caught:
        Names.free("sampler", name)
    assert f"such as {suggested!r}; got {name!r}" in str(caught.value)
    assert suggested == "my-plugin" or Names.free("sampler", suggested)


def test_a_name_that_a_plugin_of_the_kind_has_is_refused() -> None:
    with pytest.raises(PluginError, match=r"no sampler can be called 'ddim': noisette .* gives one of that name"):
        Names.free("sampler", "ddim")
    assert Names.free("metric", "ddim")  # control: names are free in another kind


def test_a_package_that_is_installed_is_not_written_again(site: Site) -> None:
    site.install("Noisette_Ralston")
    with pytest.raises(PluginError, match=r"would be noisette-ralston, and Noisette_Ralston 1\.5 is installed"):
        Names.free("metric", "ralston")


@pytest.mark.parametrize("name", ["plugins", "flows"])
def test_modules_of_noisette_are_not_hidden(name: str) -> None:
    with pytest.raises(PluginError, match=f"would be noisette_{name}, and there is one"):
        Names.free("metric", name)


AWKWARD = [
    "none",
    "true",
    "sampler",
    "metric",
    "dataset",
    "tensor",
    "noise",
    "batch",
    "state",
    "estimate",
    "network",
]
AWKWARD += ["image", "path", "example", "field", "iterator", "prediction", "data-error", "class-var", "hookimpl"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", AWKWARD)
def test_whatever_it_is_called_the_module_gives_one_plugin(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names.free(kind, name)
    write_package(names, tmp_path)
    path = tmp_path / names.distribution / "src" / names.module / "__init__.py"
    spec = importlib.util.spec_from_file_location(names.module, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, names.module, module)
    spec.loader.exec_module(module)
    (plugin,) = module.plugins()
    assert (plugin.kind, plugin.name, find_fault(plugin)) == (kind, name, "")
    assert plugin().options()["name"] == name


def test_a_class_bears_the_kind_only_where_its_name_is_taken(tmp_path: Path) -> None:
    assert Names("sampler", "heun-2m").class_name(set()) == "Heun2m"
    assert Names("sampler", "noise").class_name({"Noise"}) == "NoiseSampler"
    assert Names("metric", "none").class_name(set()) == "NoneMetric"


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_say_what_they_are_for(kind: str, tmp_path: Path) -> None:
    names = Names.free(kind, "my-own")
    written = write_package(names, tmp_path)
    package = content(tmp_path / "noisette-my-own")
    assert {path.relative_to(tmp_path / "noisette-my-own").as_posix() for path in written} == set(package)
    project = tomllib.loads(package["pyproject.toml"])
    assert project["project"]["name"] == "noisette-my-own"
    assert project["project"]["entry-points"] == {"noisette": {"my-own": "noisette_my_own"}}
    assert [text.partition(">=")[0] for text in project["project"]["dependencies"]] == ["noisette"]
    steps = yaml.safe_load(package[".github/workflows/test.yml"])["jobs"]["test"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == ['pip install ".[test]"', "pytest", f"noisette plugins check {kind} my-own"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python }}"
    test = ast.parse(package["tests/test_noisette_my_own.py"])
    assert "@parametrize_with_checks([MyOwn()])" in package["tests/test_noisette_my_own.py"]
    assert len([node for node in test.body if isinstance(node, ast.FunctionDef)]) == 1
    assert f"The {kind} `my-own` for noisette." in package["README.md"]
    assert "No licence has been chosen" in package["LICENSE"]


STAND_INS = {"schedule": "cosine", "objective": "v", "backbone": "dit", "sampler": "ddpm", "features": "inception"}
STAND_INS |= {"metric": "kid", "dataset": "mnist-5k"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_readmes_example_is_a_config_that_names_it(kind: str, tmp_path: Path) -> None:
    write_package(Names.free(kind, "my-own"), tmp_path)
    readme = (tmp_path / "noisette-my-own" / "README.md").read_text()
    example = readme.partition("```yaml\n")[2].partition("```")[0]
    assert example.count("my-own") == 1
    config = yaml.safe_load(example.replace("my-own", STAND_INS[kind]))
    experiment = Experiment.parse({"name": "x", "dataset": "digits", **config})
    plugins = {"sampler": experiment.sampling.samplers[-1], "metric": experiment.evaluation.metrics[-1]}
    plugins |= {"features": experiment.evaluation.features}
    assert plugins.get(kind, getattr(experiment, kind, None)).name == STAND_INS[kind]


def test_the_code_is_as_linters_like_it(tmp_path: Path) -> None:
    for kind in (*KINDS, HOOKS):
        write_package(Names.free(kind, f"own-{kind}"), tmp_path)
    sources = [str(path) for path in tmp_path.glob("*/src")]
    assert len(sources) == len(KINDS) + 1
    isolated = ["--isolated", "--line-length", "100"]
    check = ["check", *isolated, "--select", "E,F,W,I,B,UP,ANN,D1,RUF,SIM,PTH", "--ignore", "D107", *sources]
    for command in (check, ["format", *isolated, "--check", str(tmp_path)]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["my-own", "run", "path", "none"])
def test_a_package_of_hooks_has_its_entry_point_and_no_plugin(name: str, tmp_path: Path) -> None:
    names = Names.free(HOOKS, name)
    written = write_package(names, tmp_path)
    package = content(tmp_path / names.distribution)
    assert len(written) == len(package)
    points = tomllib.loads(package["pyproject.toml"])["project"]["entry-points"]
    assert points == {"noisette": {name: names.module}}
    steps = yaml.safe_load(package[".github/workflows/test.yml"])["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step][1:] == ["pytest", "noisette plugins list"]
    assert steps[-1]["env"] == {"NOISETTE_STRICT_PLUGINS": "1"}
    assert "plugins check" not in "".join(package.values())
    assert not [path for path, text in package.items() if "$" in text.replace("${{", "")]


WRONG_HOOKS = {
    "value": ("{status}", "{status.x}"),
    "name": ("def on_run_end", "def on_run_edn"),
    "parameter": ("(run: Run", "(runs: Run"),
}


@pytest.mark.slow
def test_its_own_test_passes_and_finds_a_hook_that_fails_or_is_misspelt(tmp_path: Path) -> None:
    for name, (old, new) in {"right": ("", ""), **WRONG_HOOKS}.items():
        names = Names.free(HOOKS, name)
        write_package(names, tmp_path)
        module = tmp_path / names.distribution / "src" / names.module / "__init__.py"
        source = module.read_text()
        assert old in source
        module.write_text(source.replace(old, new))
    sources = os.pathsep.join(map(str, tmp_path.glob("*/src")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = re.findall(r"^(PASSED|FAILED) noisette-([a-z]+)/", done.stdout, flags=re.M)
    assert {name: outcome for outcome, name in outcomes} == {"right": "PASSED"} | dict.fromkeys(
        WRONG_HOOKS, "FAILED"
    )


@pytest.mark.slow
def test_installed_it_is_listed_and_called_in_a_run(served: Workspace) -> None:
    done = served.noisette("plugins", "new", HOOKS, "own")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["  pip install -e noisette-own", "  noisette plugins list"]
    package = served.folder / "noisette-own"
    module = "noisette_own/__init__.py"
    (served.folder / module).parent.mkdir()
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    (point,) = project["entry-points"]["noisette"].items()
    install(
        served.folder,
        project["name"],
        (package / "src" / module).read_text(),
        points=" = ".join(point),
        version=project["version"],
        file=module,
    )
    path = {"PYTHONPATH": str(served.folder), "NOISETTE_STRICT_PLUGINS": "1"}
    listed = json.loads(served.noisette("plugins", "list", "--json", **path).stdout)
    (line,) = [line for line in listed if line["distribution"] == "noisette-own"]
    assert (line["kind"], line["name"], line["description"]) == (HOOKS, "own", "listens to on_run_end")
    prepared = served.noisette("prepare", "tiny.yaml", "--json", **path)
    assert prepared.returncode == 0, prepared.stderr
    assert re.search(r"^own: prepare digits finished, in .*runs/data/digits-", prepared.stderr, flags=re.M)
    assert json.loads(prepared.stdout)


def test_an_empty_directory_is_filled_and_a_missing_one_made(tmp_path: Path) -> None:
    (tmp_path / "there" / "noisette-own").mkdir(parents=True)
    for place in ("there", "not/yet"):
        written = write_package(Names("metric", "own"), tmp_path / place)
        assert all(path.is_file() for path in written)
        assert written[0].is_relative_to(tmp_path / place / "noisette-own")


def test_nothing_that_is_there_is_touched(tmp_path: Path) -> None:
    (tmp_path / "noisette-own").mkdir()
    (tmp_path / "noisette-own" / "LICENSE").write_text("mine")
    with pytest.raises(StorageError, match="expected nothing there, or an empty directory; nothing was written"):
        write_package(Names("metric", "own"), tmp_path)
    assert content(tmp_path) == {"noisette-own/LICENSE": "mine"}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "noisette-own").write_text("mine")
    with pytest.raises(StorageError, match=r"noisette-own: expected nothing there"):
        write_package(Names("metric", "own"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/noisette-own: cannot be written: Not a directory"):
        write_package(Names("metric", "own"), tmp_path / "file")


def test_the_command_says_what_it_wrote_and_what_to_do_next(workspace: Workspace) -> None:
    done = workspace.noisette("plugins", "new", "metric", "own", "--directory", "my work")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    listed = [line for line in lines if line.startswith("my work/")]
    assert {str(path) for path in Path(workspace.folder, "my work").rglob("*") if path.is_file()} == {
        str(workspace.folder / line) for line in listed
    }
    assert lines[-2:] == ["  pip install -e 'my work/noisette-own'", "  noisette plugins check metric own"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["metrik", "own"], "did you mean 'metric'?"),
        (["metric", "My-Own"], "such as 'my-own'"),
        (["hook", "own"], "did you mean 'hooks'?"),
        (["sampler", "ddim"], "choose another name"),
        (["sampler"], "argument 'NAME'"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_ends_in_2_and_writes_nothing(workspace: Workspace, words: list[str], reason: str) -> None:
    before = content(workspace.folder)
    done = workspace.noisette("plugins", "new", *words)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert content(workspace.folder) == before

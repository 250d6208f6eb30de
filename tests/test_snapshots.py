"""What people outside see is what tests/snapshots says: a change of it shows in the diff, and is meant."""

from __future__ import annotations

import difflib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import typer
from support.tiny import TINY
from typer.main import get_command
from typer.testing import CliRunner

import noisette
import noisette.hooks
import noisette.plugin_api
import noisette.testing
from noisette.storage import MANIFEST
from noisette_flows.cli import app

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = "If it is meant: make test-only ARGS='tests/test_snapshots.py --update-snapshots', then commit the diff."

Compare = Callable[[str, Iterable[str]], None]


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """Give a comparison of lines with a snapshot, which is written instead if that is asked for."""

    def compared(name: str, lines: Iterable[str]) -> None:
        path, now = FOLDER / f"{name}.txt", [re.sub(r" at 0x[0-9a-f]+", "", line) for line in lines]
        if request.config.getoption("update_snapshots"):
            path.write_text("\n".join(now) + "\n", encoding="utf-8")
        hold(path, now)

    return compared


def hold(path: Path, now: list[str]) -> None:
    """Fail with a unified diff if lines are not those of a file."""
    before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if diff := list(difflib.unified_diff(before, now, f"snapshots/{path.name}", "now", lineterm="")):
        pytest.fail("\n".join([*diff, UPDATE]), pytrace=False)


def public(*modules: ModuleType) -> list[str]:
    """Return a line for each public name of some modules, and for each public member of classes."""
    values = {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}
    shown = {value for value in values.values() if inspect.isclass(value)}
    return sorted(line for path, value in values.items() for line in described(path, value, shown))


def described(path: str, value: Any, shown: set[type]) -> Iterator[str]:
    if inspect.isclass(value):
        yield f"{path}: class({', '.join(base.__name__ for base in value.__bases__)})"
        for base in reversed(value.__mro__):
            if base is value or (base.__module__.startswith("noisette") and base not in shown):
                yield from members(path, base)
    elif inspect.isroutine(inspect.unwrap(value)):
        yield path + signature(value)
    else:
        shown_value = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        yield path if path.endswith(("__version__", "hookimpl")) else f"{path} = {shown_value}"


def members(path: str, holder: type) -> Iterator[str]:
    fields = {
        name: getattr(kind, "__forward_arg__", kind) for name, kind in inspect.get_annotations(holder).items()
    }
    yield from (f"{path}.{name}: {kind}" for name, kind in fields.items() if not name.startswith("_"))
    for name, member in vars(holder).items():
        function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
        if inspect.isfunction(function) and (not name.startswith("_") or name in ("__init__", "__call__")):
            kind = "" if function is member else f" [{type(member).__name__}]"
            yield f"{path}.{name}{signature(function)}{kind}"


def signature(function: Callable[..., Any]) -> str:
    """Return arguments and annotations as the source has them, without quotes round the latter."""
    return re.sub(
        r"(: |-> )(['\"])(.*?)\2", r"\1\3", re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(function)))
    )


def test_the_public_names(compare: Compare) -> None:
    compare("names", public(noisette, noisette.plugin_api, noisette.testing))


def test_the_hooks(compare: Compare) -> None:
    compare("hooks", public(noisette.hooks))


def options(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield a line for each section and option of a JSON schema."""
    schema = dict(schema)
    for inner in ("$defs", "properties"):
        for name, value in schema.pop(inner, {}).items():
            yield from options(value, f"{path} {name}".strip())
    yield f"{path or 'config'}: {json.dumps(schema, sort_keys=True, ensure_ascii=False)}"


def test_the_config(compare: Compare) -> None:
    done = subprocess.run([sys.executable, "-m", "noisette", "schema"], capture_output=True, check=True)
    compare("config", sorted(options(json.loads(done.stdout), "")))


def commands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for name in sorted(getattr(command, "commands", {})):
        yield from commands(command.commands[name], *words, name)


def helps(command: typer.Typer) -> Iterator[str]:
    """Yield what each command's --help prints, a hundred letters wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.rich_utils.MAX_WIDTH", 100)
        for words in commands(get_command(command)):
            done = CliRunner().invoke(command, [*words, "--help"])
            assert done.exit_code == 0, done.output
            yield " ".join(["$ noisette", *words, "--help"])
            yield from (line.rstrip() for line in click.unstyle(done.stdout).splitlines() if line.strip())
            yield ""


def test_the_help_of_every_command(compare: Compare) -> None:
    compare("help", helps(app))


PLACEHOLDERS = {
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b": "ID",
    r"(?<=timestamp\+)\d+": "TIME",
    r"(?<![0-9A-Za-z])[0-9a-f]{10}(?![0-9A-Za-z])": "KEY",
}


def plain(lines: Iterable[str]) -> list[str]:
    """Return lines with placeholders for keys, ids and times, each once."""
    text = "\n".join(lines)
    for pattern, name in PLACEHOLDERS.items():
        text = re.sub(pattern, name, text)
    return sorted(set(text.splitlines()))


def keys(value: Any, depth: int = 2, before: str = "") -> Iterator[str]:
    """Yield the keys of JSON objects, and of those in them."""
    for key, inner in value.items() if isinstance(value, dict) and depth else ():
        yield before + key
        yield from keys(inner, depth - 1, f"{before}{key}.")


def layout(root: Path) -> Iterator[str]:
    """Yield each file of a folder, and the keys in those that hold JSON; those of a manifest by its kind."""
    for path in (path for path in root.rglob("*") if path.is_file()):
        yield str(path.relative_to(root))
        text = path.read_text(encoding="utf-8") if path.suffix in (".json", ".jsonl") else ""
        for document in map(json.loads, text.splitlines() if path.suffix == ".jsonl" else filter(None, [text])):
            name = path.name
            if name == MANIFEST:
                name, document["files"] = f"{name} of {document['kind']}", {}
            yield from (f"{name}: {key}" for key in keys(document))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which a tiny experiment has run and was sent to MLflow."""
    from noisette.comparison import Sweep
    from noisette.comparison import compare as sweep
    from noisette.figures import make_figure
    from noisette_flows.tracking import Mirror, Store
    from noisette_flows.tracking.provenance import collect_provenance

    listed = [{"name": "denoise", "num_images": 2, "sampler": {"name": "ddim", "steps": 3}}]
    training = {**TINY["training"], "steps": 4, "log_every": 1, "preview_every": 4}
    config = {**TINY, "preparation": {"limit": 64}, "training": training, "figures": listed}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ran"))
        patch.setenv("NOISETTE_DEVICE", "cpu")
        patch.delenv("PREFECT_API_URL", raising=False)
        experiment = noisette.Experiment.parse(config)
        noisette.prepare(experiment)
        model = noisette.train(experiment)
        samples = [noisette.sample(experiment, model, sampler) for sampler in experiment.sampling.samplers]
        noisette.evaluate(experiment, samples, run=model.run)
        make_figure(experiment, experiment.figures[0], checkpoint=model)
        sweep(Sweep.of(model.run, ["ddim"], (2, 3), num_images=6))
        store = Store.of(f"sqlite:///{Path.cwd()}/mlflow.db")
        assert store is not None
        Mirror(experiment, model.run, store, {}, collect_provenance("flow")).sync({"parent": "FINISHED"})
        yield Path.cwd()


def test_the_layout_of_a_run(ran: Path, compare: Compare) -> None:
    compare("layout", plain(layout(ran / "runs")))


def tracked(database: Path) -> Iterator[str]:
    """Yield the names of all that an MLflow store holds."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    for experiment in client.search_experiments():
        yield experiment.name
        for run in client.search_runs([experiment.experiment_id]):
            place = f"{experiment.name} / {run.info.run_name}:"
            own = [tag for tag in run.data.tags if not tag.startswith("mlflow.") or tag == "mlflow.note.content"]
            for kind, names in {"param": run.data.params, "metric": run.data.metrics, "tag": own}.items():
                yield from (f"{place} {kind} {name}" for name in names)
            yield from (f"{place} input {told.dataset.name}" for told in run.inputs.dataset_inputs)
            yield from (f"{place} artifact {path}" for path in artifacts(client, run.info.run_id))


def artifacts(client: Any, run: str, folder: str = "") -> Iterator[str]:
    for file in client.list_artifacts(run, folder):
        yield from artifacts(client, run, file.path) if file.is_dir else [file.path]


def test_the_names_in_mlflow(ran: Path, compare: Compare) -> None:
    compare("mlflow", plain(tracked(ran / "mlflow.db")))


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_control_a_changed_name_is_reported(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    hold(path, lines)
    with pytest.raises(pytest.fail.Exception) as told:
        hold(path, [*lines[:3], f"{lines[3]}s", *lines[4:]])
    assert {f"-{lines[3]}", f"+{lines[3]}s", UPDATE} <= set(str(told.value).splitlines())


def test_control_renamed_things_are_other_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hooks, runs = noisette.hooks.HookSpecs, app.registered_groups[0].typer_instance
    assert runs is not None

    def seen() -> set[str]:
        return {*public(noisette.hooks), *helps(runs), *layout(tmp_path)}

    (tmp_path / MANIFEST).write_text('{"kind": "samples", "about": {"seed": 0}}')
    before = seen()
    (tmp_path / MANIFEST).write_text('{"kind": "samples", "about": {"seeds": 0}}')
    monkeypatch.setattr(hooks, "on_pace", hooks.on_step, raising=False)
    monkeypatch.delattr(hooks, "on_step")
    monkeypatch.setattr(runs.registered_commands[0], "name", "delete")
    gone, come = before - seen(), seen() - before
    assert {f"{MANIFEST} of samples: about.seed", "$ noisette remove --help"} <= gone
    assert {f"{MANIFEST} of samples: about.seeds", "$ noisette delete --help"} <= come
    assert [line.partition("(")[0] for line in gone if "Specs" in line] == ["noisette.hooks.HookSpecs.on_step"]

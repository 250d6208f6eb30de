"""What `noisette plugins new` writes is built, installed, listed, checked and used, for every kind."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from support.third_party import PLUGINS, ThirdPartyPackages, ThirdPartyRun

from noisette.contracts import KINDS
from noisette.storage import verify

pytestmark = pytest.mark.slow

FILES = {".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml"}


def test_every_kind_is_tried() -> None:
    assert set(PLUGINS) == set(KINDS)


@pytest.mark.parametrize("kind", PLUGINS)
def test_the_package_has_all_that_a_package_needs(third_party: ThirdPartyPackages, kind: str) -> None:
    package, module = third_party.package(kind), f"noisette_{PLUGINS[kind]}".replace("-", "_")
    network = {f"src/{module}/network.py"} if kind == "backbone" else set()
    sources = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert sources == FILES | {f"src/{module}/__init__.py", f"tests/test_{module}.py"} | network
    assert len((package / f"src/{module}/__init__.py").read_text().splitlines()) < 60
    assert not [path for path in sources if "$" in (package / path).read_text().replace("${{", "")]
    printed = third_party.written[kind].stdout.splitlines()
    assert {line for line in printed if line.startswith(package.name)} == {
        f"{package.name}/{path}" for path in sources
    }
    assert printed[-2:] == [f"  pip install -e {package.name}", f"  noisette plugins check {kind} {PLUGINS[kind]}"]


@pytest.mark.parametrize("kind", PLUGINS)
def test_the_wheel_needs_noisette_alone_and_holds_the_module_alone(
    third_party: ThirdPartyPackages, kind: str
) -> None:
    with zipfile.ZipFile(third_party.wheels[kind]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        told = Parser().parsestr(wheel.read(metadata).decode())
    needed = [text for text in told.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert needed == [f"noisette>={version('noisette')}"]
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {third_party.package(kind).name.replace("-", "_")}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_they_are_listed_with_distribution_and_version(third_party: ThirdPartyPackages) -> None:
    listed = third_party.environment.plugins(third_party.folder)
    assert [line for line in listed if line["status"] != "ok"] == []
    theirs = {line["kind"]: line for line in listed if line["distribution"] != "noisette"}
    assert theirs.pop("hooks")["distribution"] == "noisette-diary"
    assert {kind: line["name"] for kind, line in theirs.items()} == PLUGINS
    for line in theirs.values():
        assert (line["distribution"], line["version"]) == (f"noisette-{line['name']}", "0.1.0")
        assert line["description"]


OF_OTHERS = (
    "it reads no features",
    "it reads no features, or logits too",
    "it takes images of any size as they are",
    "has a state of its own",
    "it returns no neighbours",
    "the kit knows no formula of this paper",
    "the kit knows no schedule of this name and paper",
)
"""Why a plugin skips checks that are of others of its kind."""


def test_their_own_tests_pass_with_nothing_skipped(third_party: ThirdPartyPackages) -> None:
    folders = [str(third_party.package(kind) / "tests") for kind in PLUGINS]
    options = ["-rA", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    done = third_party.environment.python("-m", "pytest", *options, *folders, cwd=third_party.folder)
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASSED noisette-([a-z-]+)/tests/test_noisette_[a-z_]+.py::", done.stdout, flags=re.M)
    assert {name: passed.count(name) >= 10 for name in passed} == dict.fromkeys(PLUGINS.values(), True)
    skipped = re.findall(r"^SKIPPED \[\d+\] [^:]+:\d+: (.*)$", done.stdout, flags=re.M)
    rest = [reason for reason in skipped if not reason.endswith(OF_OTHERS)]
    assert rest == []


def test_the_command_checks_what_is_installed(third_party: ThirdPartyPackages) -> None:
    name = PLUGINS["metric"]
    done = third_party.environment.noisette("plugins", "check", "metric", name, "--json", cwd=third_party.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["distribution"], told["version"]) == (f"noisette-{name}", "0.1.0")
    assert told["counts"]["passed"] >= 10


def test_a_run_made_of_them_alone_gives_a_table(third_party_run: ThirdPartyRun) -> None:
    told = json.loads(third_party_run.done.stdout)
    assert [(row["kind"], row["label"]) for row in told["rows"]] == [
        ("floor", "held-out"),
        ("sampler", "ddim-5"),
        ("sampler", "walker-5"),
        ("noise", "noise"),
    ]
    assert told["columns"] == ["frechet_projections", "brightness"]
    for row in told["rows"]:
        assert row["results"]["brightness"]["stderr"] > 0
    by_label = {row["label"]: row["results"] for row in told["rows"]}
    assert by_label["held-out"]["frechet_projections"]["value"] < by_label["noise"]["frechet_projections"]["value"]
    # Euler's rule is DDIM without noise: the same images, to a grey level
    assert by_label["walker-5"]["brightness"]["value"] == pytest.approx(
        by_label["ddim-5"]["brightness"]["value"], abs=0.1
    )


def origin(kind: str) -> dict[str, str]:
    name = PLUGINS[kind]
    return {"kind": kind, "name": name, "distribution": f"noisette-{name}", "version": "0.1.0"}


def without_code(origin: dict[str, str]) -> dict[str, str]:
    assert len(origin["code"]) == 10
    return {key: value for key, value in origin.items() if key != "code"}


def test_checkpoint_samples_and_report_name_their_packages(third_party_run: ThirdPartyRun) -> None:
    checkpoint = verify(third_party_run.directory / "checkpoints" / "step-00000010", "checkpoint").about
    kinds = ("schedule", "objective", "backbone", "dataset")
    assert [without_code(one) for one in checkpoint["plugins"]] == [origin(kind) for kind in kinds]
    (samples,) = (third_party_run.directory / "samples").glob("walker-5-*")
    assert without_code(verify(samples, "samples").about["plugin"]) == origin("sampler")
    report = Path(json.loads(third_party_run.done.stdout)["report"])
    judges = json.loads((third_party_run.folder / report).read_text())["details"]["plugins"]
    assert {"features", "metric"} <= {
        one["kind"] for one in map(without_code, judges) if one == origin(one["kind"])
    }
    (prepared,) = (third_party_run.folder / "runs" / "data").glob("discs-*")
    assert without_code(verify(prepared, "prepared").about["plugin"]) == origin("dataset")


def tags_in_mlflow(third_party_run: ThirdPartyRun) -> dict[str, str]:
    """Return the tags of the parent and of the run of the stranger's sampler."""
    database = sqlite3.connect(third_party_run.folder / "mlflow.db")
    rows = database.execute("select r.name, t.key, t.value from runs r join tags t using (run_uuid)").fetchall()
    return {key.removeprefix("noisette."): value for name, key, value in rows if name != "ddim-5"}


def test_mlflow_names_their_packages(third_party_run: ThirdPartyRun) -> None:
    tags = tags_in_mlflow(third_party_run)
    for kind, name in PLUGINS.items():
        assert f"{name} (noisette-{name} 0.1.0)" in tags[kind]
    assert tags["metric"].startswith("frechet (noisette ")


def diary(third_party_run: ThirdPartyRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (third_party_run.folder / "diary.jsonl").read_text().splitlines()]


def test_a_tracker_is_told_of_every_stage(third_party_run: ThirdPartyRun) -> None:
    lines = diary(third_party_run)
    ends = [(line["stage"], line["name"], line["status"]) for line in lines if line["hook"] == "end"]
    starts = [(line["stage"], line["name"], "finished") for line in lines if line["hook"] == "start"]
    assert (
        ends
        == starts
        == [
            ("prepare", "discs", "finished"),
            ("train", "all", "finished"),
            ("sample", "ddim-5", "finished"),
            ("sample", "walker-5", "finished"),
            ("evaluate", "all", "finished"),
        ]
    )
    assert all(line["options"] for line in lines if line["hook"] == "start")


def test_a_tracker_is_told_of_steps_measurements_images_and_checkpoints(third_party_run: ThirdPartyRun) -> None:
    lines = diary(third_party_run)

    def told(hook: str, stage: str) -> Iterator[dict[str, Any]]:
        return (line for line in lines if (line["hook"], line["stage"]) == (hook, stage))

    assert [line["step"] for line in told("step", "train")] == list(range(1, 11))
    assert [(line["step"], line["there"]) for line in told("checkpoint", "train")] == [(5, True), (10, True)]
    assert [line["step"] for line in told("metrics", "train")] == [5, 10]
    assert all("loss" in line["names"] for line in told("metrics", "train"))
    images = [(line["key"], line["there"]) for line in lines if line["hook"] == "images"]
    assert images == [("training/grid", True), ("samples/ddim-5", True), ("samples/walker-5", True)]
    (measured,) = told("metrics", "evaluate")
    assert {"brightness/walker-5", "frechet_projections/ddim-5"} <= set(measured["names"])
    assert [line["step"] for line in told("step", "sample")] == [16, 16]


def test_what_is_finished_is_told_to_nobody(third_party_run: ThirdPartyRun) -> None:
    before = len(diary(third_party_run))
    path = str(third_party_run.folder / "diary.jsonl")
    again = third_party_run.third_party.environment.noisette(
        "run", "all.yaml", cwd=third_party_run.folder, DIARY=path
    )
    assert again.returncode == 0, again.stderr
    assert "walker-5" in again.stdout
    assert len(diary(third_party_run)) == before


def test_mlflow_names_the_judges_of_the_last_evaluation(
    third_party_run: ThirdPartyRun, prefect: dict[str, str]
) -> None:
    words = ["evaluate", "all.yaml", "--set", "evaluation.metrics=[brightness]"]
    done = third_party_run.third_party.environment.noisette(*words, cwd=third_party_run.folder, **prefect)
    assert done.returncode == 0, done.stderr
    assert tags_in_mlflow(third_party_run)["metric"] == "brightness (noisette-brightness 0.1.0)"


@pytest.fixture
def without_backbone(third_party_run: ThirdPartyRun) -> Iterator[ThirdPartyRun]:
    """The same folder after the backbone's package was uninstalled."""
    environment = third_party_run.third_party.environment
    environment.pip("uninstall", "-y", "noisette-plain-net")
    yield third_party_run
    environment.pip("install", str(third_party_run.third_party.wheels["backbone"]))


LOAD = """
from pathlib import Path
from noisette import Model, CheckpointError
from noisette.checkpoint import Checkpoint
try:
    Model.load(Checkpoint.open(Path({path!r})))
except CheckpointError as error:
    print(error)
else:
    print("loaded")
"""


def loaded(third_party_run: ThirdPartyRun) -> str:
    script = LOAD.format(path=str(third_party_run.directory / "checkpoints" / "step-00000010"))
    done = third_party_run.third_party.environment.python("-c", script, cwd=third_party_run.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_control_the_checkpoint_loads_with_its_packages(third_party_run: ThirdPartyRun) -> None:
    assert loaded(third_party_run) == "loaded"


def test_a_checkpoint_without_its_package_says_what_to_install(without_backbone: ThirdPartyRun) -> None:
    told = loaded(without_backbone)
    assert "step-00000010: needs the backbone 'plain-net' of noisette-plain-net 0.1.0: " in told
    assert told.endswith("pip install noisette-plain-net==0.1.0")
    done = without_backbone.third_party.environment.noisette(
        "sample", "all.yaml", "--sampler", "walker", "--steps", "3", cwd=without_backbone.folder
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "all.yaml: 1 problem"
    assert done.stderr.strip().endswith(
        "(results here were made with that of noisette-plain-net 0.1.0: pip install noisette-plain-net==0.1.0)"
    )


def test_control_with_it_the_images_are_drawn(third_party_run: ThirdPartyRun, prefect: dict[str, str]) -> None:
    words = [
        "sample",
        "all.yaml",
        "--sampler",
        "walker",
        "--steps",
        "3",
        "--num-images",
        "4",
        "--tracking-uri",
        "off",
    ]
    done = third_party_run.third_party.environment.noisette(*words, cwd=third_party_run.folder, **prefect)
    assert done.returncode == 0, done.stderr
    assert "sample walker-3: finished" in done.stdout

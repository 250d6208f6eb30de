"""Shards on workers: threads, and a real Dask cluster of two (processes: docs/deploy.md); always the same bits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from support.workspace import Workspace, make_workspace, with_databases

from noisette import ConfigError, NoisetteError
from noisette_flows.workers import Workers

SCRIPT = """
import json, shutil, sys, sqlite3
from pathlib import Path
from noisette_flows.server import start_server

with start_server():  # one for all workers, as with the command
    from noisette_flows import pipeline

overrides = {"sampling.num_images": 7, "sampling.batch_size": 2}
plain = {"config": "tiny.yaml", "overrides": overrides, "tracking_uri": "off"}
pipeline.prepare_data("tiny.yaml")
pipeline.train("tiny.yaml", tracking_uri="off")
said = {}
for workers in ["", *sys.argv[1:]]:
    drawn = pipeline.sample(**plain, workers=workers)
    for place in map(Path, drawn):
        kept = Path("kept", workers.replace(":", "-") or "alone", place.name)
        shutil.copytree(place, kept)
        shutil.rmtree(place)
    said[workers] = sorted(str(path) for path in kept.parent.iterdir())
    assert not list(Path("runs").glob("*/shards/*"))
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Drawn:
    workspace: Workspace
    places: dict[str, list[Path]]
    log: str

    def images(self, workers: str) -> list[np.ndarray[Any, Any]]:
        return [np.load(place / "images.npy") for place in self.places[workers]]


CLUSTERS = ["threads:2", "dask:2"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("fanout")))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *CLUSTERS],
        cwd=workspace.folder,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return Drawn(
        workspace, {name: [workspace.folder / path for path in paths] for name, paths in said.items()}, done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", CLUSTERS)
def test_images_are_the_same_bits_wherever_they_are_drawn(drawn: Drawn, workers: str) -> None:
    alone, together = drawn.images(""), drawn.images(workers)
    assert len(alone) == len(together) == 2
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(alone[0], alone[1])  # the control: samplers differ
    names = [path.name for path in drawn.places[""]]
    assert [path.name for path in drawn.places[workers]] == names


@pytest.mark.slow
def test_each_shard_is_a_task_of_its_own_with_a_name(drawn: Drawn) -> None:
    import sqlite3

    with sqlite3.connect(drawn.workspace.folder / "prefect" / "prefect.db") as database:
        names = [name for (name,) in database.execute("select name from task_run")]
    for label in ("ddim-5", "ddpm-4"):
        assert names.count(f"sample {label}, images 0 to 4") == len(CLUSTERS)
        assert names.count(f"sample {label}, images 4 to 7") == len(CLUSTERS)
        assert names.count(f"join {label}") == len(CLUSTERS)


@pytest.mark.slow
def test_what_joins_shards_stands_behind_them_in_the_graph(drawn: Drawn) -> None:
    import sqlite3

    with sqlite3.connect(drawn.workspace.folder / "prefect" / "prefect.db") as database:
        rows = database.execute("select id, name, task_inputs from task_run").fetchall()
    names = {str(UUID(identity)): name for identity, name, _ in rows}
    joins = [(name, json.loads(inputs)["wait_for"]) for _, name, inputs in rows if name.startswith("join ")]
    assert len(joins) == 2 * len(CLUSTERS)
    for name, behind in joins:
        label = name.removeprefix("join ")
        assert {names[one["id"]] for one in behind} == {
            f"sample {label}, images 0 to 4",
            f"sample {label}, images 4 to 7",
        }


@pytest.mark.slow
def test_a_cluster_that_comes_and_goes_says_nothing(drawn: Drawn) -> None:
    assert "distributed.deploy.local.LocalCluster" in drawn.log  # Prefect's one line
    assert not re.findall(r"^.*\bINFO\b.* distributed\..*$", drawn.log, flags=re.M)


@pytest.mark.parametrize(
    "text", ["threads", "threads:0", "threads:x", "dask", "dask:host:8786", "slurm:4", "ray:-1"]
)
def test_workers_that_cannot_be_understood_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected threads:2, processes:2, dask:2"):
        Workers.of(text)


def test_workers_are_counted_or_addressed() -> None:
    assert Workers.of("threads:3") == Workers("threads", 3)
    assert Workers.of("dask:tcp://host:8786") == Workers("dask", 0, "tcp://host:8786")
    assert Workers.of("ray:ray://host:10001").shards == 8


REFUSED = """
import sys
from noisette_flows import pipeline

for workers in sys.argv[1:]:
    try:
        pipeline.train_and_eval("tiny.yaml", workers=workers)
    except Exception as error:
        print(workers, error)
"""


def test_workers_that_there_are_not_are_refused_before_anything_is_computed(served: Workspace) -> None:
    without_ray = ["ray:2"] if find_spec("ray") is None else []
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, "foo:2", "dask", *without_ray],
        cwd=served.folder,
        env=served.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("expected threads:2, processes:2") == 2, done.stdout
    assert done.stdout.count("pip install 'prefect-ray") == len(without_ray), done.stdout
    assert not (served.folder / "runs").exists()


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_workers_whose_package_is_missing_say_which() -> None:
    with pytest.raises(NoisetteError, match=r"pip install 'prefect-ray<"):
        Workers.of("ray:2").runner()

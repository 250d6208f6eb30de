"""What models are called beside one another: by what differs, completely and readably."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.tiny import tiny

from noisette import Experiment
from noisette.comparison.names import describe_differences, distinct_names

CASES: dict[str, tuple[list[list[str]], list[str]]] = {
    "a schedule": ([[], ["schedule=cosine"]], ["schedule=linear", "schedule=cosine"]),
    "a schedule and steps": (
        [[], ["schedule=cosine", "training.steps=100"]],
        ["schedule=linear, steps=12", "schedule=cosine, steps=100"],
    ),
    "an option of the same schedule": ([[], ["schedule={name: linear, end: 0.05}"]], ["end=0.02", "end=0.05"]),
    "a schedule with an option": (
        [["schedule={name: linear, end: 0.05}"], ["schedule=cosine"]],
        ["schedule=linear end=0.05", "schedule=cosine"],
    ),
    "a schedule inside another": (
        [
            ["objective=v", "schedule={name: zero-terminal, of: linear}"],
            ["objective=v", "schedule={name: zero-terminal, of: cosine}"],
        ],
        ["of=linear", "of=cosine"],
    ),
    "what decides no weight is no difference": (
        [["training.log_every=3", "training.lr=0.1"], ["sampling.num_images=9"]],
        ["lr=0.1", "lr=0.001"],
    ),
}


def experiments(overrides: list[list[str]]) -> list[Experiment]:
    return [tiny(*some) for some in overrides]


@pytest.mark.parametrize(("overrides", "names"), CASES.values(), ids=CASES)
def test_models_are_called_by_what_differs(overrides: list[list[str]], names: list[str]) -> None:
    assert describe_differences([(one, []) for one in experiments(overrides)]) == names


def test_other_code_of_a_plugin_is_a_difference() -> None:
    def origin(code: str) -> list[dict[str, str]]:
        return [{"kind": "backbone", "name": "unet", "distribution": "noisette", "version": "1", "code": code}]

    assert describe_differences([(tiny(), origin("a" * 10)), (tiny(), origin("b" * 10))]) == [
        "backbone code=aaaaaaaaaa",
        "backbone code=bbbbbbbbbb",
    ]


def sweeps(*experiments: Experiment) -> list[Any]:
    def sweep(number: int, one: Experiment) -> Any:
        steps = one.training.steps
        checkpoint = SimpleNamespace(digest=str(number), step=steps, directory=Path("c"), about={"plugins": []})
        return SimpleNamespace(experiment=one, trained=one, checkpoint=checkpoint, run=Path(f"tiny-{number}"))

    return [sweep(number, one) for number, one in enumerate(experiments)]


def test_a_schedule_that_differs_is_neither_a_hash_nor_hidden_behind_the_steps() -> None:
    assert distinct_names(sweeps(*experiments(CASES["a schedule"][0]))) == CASES["a schedule"][1]
    both = CASES["a schedule and steps"]
    assert distinct_names(sweeps(*experiments(both[0]))) == both[1]


def test_models_that_differ_in_very_much_are_called_by_their_runs() -> None:
    many = [
        "seed=1",
        "timesteps=21",
        *(f"training.{option}" for option in ("lr=1", "batch_size=9", "lr_warmup_steps=2", "random_flip=true")),
    ]
    assert distinct_names(sweeps(tiny(), tiny(*many, "objective=v"))) == ["tiny-0", "tiny-1"]
    assert "lr_warmup_steps=2" in distinct_names(sweeps(tiny(), tiny(*many)))[1]

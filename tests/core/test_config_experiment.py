from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from noisette import ConfigError, Experiment
from noisette.config import apply_overrides, load, parse, read_yaml

CONFIG: dict[str, Any] = {"name": "x", "dataset": "digits"}


def problems(**changes: Any) -> dict[str, str]:
    """Return what is wrong with a config, as messages by path."""
    with pytest.raises(ConfigError) as caught:
        Experiment.parse({**CONFIG, **changes})
    assert str(caught.value).startswith(f"config: {len(caught.value.problems)} problem")
    return {problem.path: str(problem).removeprefix(f"{problem.path}: ") for problem in caught.value.problems}


def sampling(*samplers: Any, timesteps: int = 1000) -> dict[str, str]:
    return problems(sampling={"samplers": samplers}, timesteps=timesteps)


def test_a_name_and_a_data_set_are_enough() -> None:
    experiment = Experiment.parse(CONFIG)
    assert experiment.schedule.name == "linear"
    assert [sampler.label for sampler in experiment.sampling.samplers] == ["ddim-50"]
    assert experiment.training.steps == 10_000


def test_what_is_required_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.parse({})
    assert [str(problem) for problem in caught.value.problems] == ["name: is required", "dataset: is required"]


def test_options_make_the_same_experiment_again() -> None:
    walks = ["ddim", {"name": "ddim", "eta": 0.5, "spacing": [900, 500, 0]}, {"name": "ddpm", "steps": 7}]
    first = Experiment.parse({**CONFIG, "sampling": {"samplers": walks}, "training": {"adam_betas": [0.5, 0.9]}})
    again = Experiment.parse(json.loads(json.dumps(first.options())))
    assert again == first
    assert again.options() == first.options()
    labels = [sampler.label for sampler in first.sampling.samplers]
    assert labels == ["ddim-50", "ddim-3-eta=0.5-spacing=900,500,0", "ddpm-7"]
    assert [sampler.label for sampler in again.sampling.samplers] == labels


def test_an_experiment_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Experiment.parse(CONFIG).training.steps = 5  # type: ignore[misc]


def test_a_file_is_named_after_itself_and_overridden(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text("dataset: digits\ntraining: {steps: 5}\n")
    experiment = Experiment.load(path, ["training.steps=7", "sampling.samplers=[ddpm]", "schedule=cosine"])
    assert (experiment.name, experiment.training.steps) == ("tiny", 7)
    assert [sampler.name for sampler in experiment.sampling.samplers] == ["ddpm"]
    assert experiment.schedule.name == "cosine"


def test_all_problems_are_told_at_once_with_file_and_path(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "dataset: digts\n"
        "shedule: cosine\n"
        "timesteps: 20\n"
        "objective: {name: eps, loss: mae, sale: 1}\n"
        "training: {steps: -1, lr: fast, batchsize: 3, lr_schedule: cosin}\n"
        "sampling: {samplers: [{name: ddim, steps: 21}], num_images: -1}\n"
    )
    with pytest.raises(ConfigError) as caught:
        Experiment.load(path)
    assert str(caught.value).splitlines()[0] == f"{path}: 9 problems"
    assert sorted(problem.path for problem in caught.value.problems) == [
        "dataset",
        "objective.loss",
        "objective.sale",
        "sampling.num_images",
        "shedule",
        "training.batchsize",
        "training.lr",
        "training.lr_schedule",
        "training.steps",
    ]


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"backbone": {"name": "unet", "channels": 30, "groups": 4}},
            "backbone.groups",
            "expected a divisor of channels = 30; got 4",
        ),
        (
            {"schedule": {"name": "sigmoid", "start": 4}},
            "schedule.start",
            "expected less than end = 3.0; got 4.0",
        ),
        (
            {"schedule": {"name": "zero-terminal", "of": {"name": "linear", "strat": 1}}, "objective": "v"},
            "schedule.of.strat",
            "unknown key; known are start, end, scaled (did you mean 'start'?)",
        ),
        (
            {
                "schedule": {"name": "zero-terminal", "of": {"name": "zero-terminal", "of": "linea"}},
                "objective": "v",
            },
            "schedule.of.of",
            None,
        ),
        ({"schedule": {"name": "given", "values": [0.1, "x"]}}, "schedule.values.1", "expected a number; got 'x'"),
    ],
)
def test_a_plugins_own_problem_has_the_full_path(changes: dict[str, Any], path: str, message: str | None) -> None:
    found = problems(**changes)
    assert set(found) == {path}
    assert message is None or found[path] == message


@pytest.mark.parametrize(
    ("changes", "path", "hint"),
    [
        ({"trainin": {}}, "trainin", "did you mean 'training'?"),
        ({"training": {"batchs": 3}}, "training.batchs", "did you mean 'batch_size'?"),
        ({"training": {"lr_schedule": "cosin"}}, "training.lr_schedule", "did you mean 'cosine'?"),
        ({"schedule": {"name": "linear", "strat": 1}}, "schedule.strat", "did you mean 'start'?"),
        ({"sampling": {"samplers": [{"name": "ddim", "etta": 1}]}}, "sampling.samplers.0.etta", "'eta'?"),
        ({"sampling": {"samplers": ["dim"]}}, "sampling.samplers.0", "did you mean 'ddim'?"),
        ({"objective": "epsilon"}, "objective", "did you mean 'eps'?"),
    ],
)
def test_a_misspelt_word_gets_its_nearest_match(changes: dict[str, Any], path: str, hint: str) -> None:
    assert hint in problems(**changes)[path]


def test_a_word_near_to_none_gets_no_guess() -> None:
    assert "did you mean" not in problems(qqq=1)["qqq"]
    assert "known are name, seed, threads, dataset" in problems(qqq=1)["qqq"]


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("training", "steps", -1, "expected a number greater than or equal to 0; got -1"),
        ("training", "steps", 2.5, "expected a whole number; got 2.5"),
        ("training", "steps", "many", "expected a whole number; got 'many'"),
        ("training", "lr", -1e-3, "expected a number greater than 0; got -0.001"),
        ("training", "lr", float("nan"), "expected a finite number; got nan"),
        ("training", "weight_decay", float("inf"), "expected a finite number; got inf"),
        ("training", "ema_decay", 1, "expected a number less than 1, or a list; got 1"),
        ("training", "random_flip", "maybe", "expected true or false; got 'maybe'"),
        ("training", "adam_betas", [0.9], None),
        ("training", "adam_betas", [0.9, 0.9, 0.9], "expected at most 2 values; got [0.9, 0.9, 0.9]"),
        ("training", "precision", "half", "expected 'auto', 'fp32', 'bf16' or 'fp16'; got 'half'"),
        ("preparation", "channels", 2, "expected 1 or 3; got 2"),
        ("sampling", "num_images", [3], "expected a whole number; got [3]"),
        ("sampling", "samplers", [], "expected at least one sampler; got none"),
        ("sampling", "samplers", "ddim", "expected a list; got 'ddim'"),
    ],
)
def test_an_impossible_value_is_refused_plainly(section: str, key: str, value: Any, message: str | None) -> None:
    found = problems(**{section: {key: value}})
    assert found == ({f"{section}.{key}": message} if message else {"training.adam_betas.1": "is required"})


def test_numbers_may_be_written_in_any_way() -> None:
    training = {"steps": 1e4, "batch_size": "64", "random_flip": "no"}
    options = Experiment.parse({**CONFIG, "training": training}).training
    assert (options.steps, options.batch_size, options.random_flip) == (10_000, 64, False)


@pytest.mark.parametrize("value", [3, "x", [1], None])
def test_a_section_must_be_a_mapping(value: Any) -> None:
    assert problems(training=value)["training"].startswith("expected a mapping; got ")


def test_a_long_value_is_shown_short() -> None:
    assert len(problems(dataset={"name": "digits", "extra": 1}, seed="9" * 10_000)["seed"]) < 150


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "/root", ".", "..", ".hidden", "", "a b", "a\n", "a" * 65, "ä", 3]
)
def test_a_name_cannot_leave_the_output_folder(name: Any) -> None:
    assert set(problems(name=name)) == {"name"}


def test_a_walk_longer_than_the_process_is_refused_where_it_stands() -> None:
    found = sampling(
        {"name": "ddim", "steps": 50}, {"name": "ddpm", "steps": 11}, {"name": "ddim", "steps": 10}, timesteps=10
    )
    assert found == {
        "sampling.samplers.0.steps": "expected 1 to 10, the trained timesteps; got 50",
        "sampling.samplers.1.steps": "expected 1 to 10, the trained timesteps; got 11",
    }


def test_a_default_longer_than_the_process_takes_all_its_steps_and_says_so() -> None:
    config = {"name": "few", "dataset": "digits", "timesteps": 20}
    experiment = Experiment.parse({**config, "sampling": {"samplers": ["ddpm", {"name": "ddim", "steps": 5}]}})
    assert [sampler.label for sampler in experiment.sampling.samplers] == ["ddpm-20", "ddim-5"]
    assert Experiment.parse(experiment.options()) == experiment
    assert [sampler.label for sampler in Experiment.parse(config).sampling.samplers] == ["ddim-20"]
    longer = Experiment.parse({**config, "timesteps": 2000, "sampling": {"samplers": ["ddpm"]}})
    assert longer.sampling.samplers[0].steps == 1000


def test_two_samplers_that_the_process_makes_the_same_are_refused() -> None:
    found = sampling("ddpm", {"name": "ddpm", "steps": 10}, timesteps=10)
    assert found == {"sampling": "expected samplers that differ in name or options; got ddpm-10 twice"}


@pytest.mark.parametrize(
    ("spacing", "path", "message"),
    [
        ([9, 5, 7], "spacing", "expected descending timesteps within [0, 10); got [9, 5, 7]"),
        ([10, 5], "spacing", "expected descending timesteps within [0, 10); got [10, 5]"),
        ([], "spacing", "expected descending timesteps within [0, 10); got []"),
        ([9, -5], "spacing.1", "expected a number greater than or equal to 0; got -5"),
        (
            "linspac",
            "spacing",
            "expected 'linspace', 'leading', 'trailing', 'quadratic' or 'karras', or a list; "
            "got 'linspac' (did you mean 'linspace'?)",
        ),
    ],
)
def test_a_wrong_spacing_is_one_problem(spacing: Any, path: str, message: str) -> None:
    found = sampling({"name": "ddim", "steps": 5, "spacing": spacing}, timesteps=10)
    assert found == {f"sampling.samplers.0.{path}": message}


def test_two_samplers_must_differ() -> None:
    assert sampling("ddim", {"name": "ddim", "eta": 0.0}) == {
        "sampling.samplers": "expected samplers that differ in name or options; got ddim-50 twice"
    }
    walks = ["ddim", {"name": "ddim", "eta": 0.1}, {"name": "ddim", "steps": 51}]
    assert len(Experiment.parse({**CONFIG, "sampling": {"samplers": walks}}).sampling.samplers) == 3


@pytest.mark.parametrize("value", [None, 3, ["linear"], {"start": 1e-4}, {"name": 3}])
def test_a_plugin_is_named_or_refused(value: Any) -> None:
    assert problems(schedule=value)["schedule"].startswith(
        "expected the name of a schedule, or a mapping with `name`; got"
    )


def test_keys_must_be_words() -> None:
    assert problems(training={3: 1}) == {"training.3": "expected a word as key; got 3"}


def test_a_process_of_a_billion_steps_is_refused_before_it_is_tabulated() -> None:
    assert set(problems(timesteps=10**9)) == {"timesteps"}


def test_a_plugin_object_is_taken_as_it_is() -> None:
    first = Experiment.parse(CONFIG)
    assert Experiment.parse({**CONFIG, "schedule": first.schedule, "backbone": first.backbone}) == first


IMPORTS = """
import sys
from noisette import ConfigError, Experiment
try:
    Experiment.load({path!r}, ["training.steps=-1", "sampling.samplers=[dim, ddim, {{name: ddim, steps: 5000}}]"])
except ConfigError as error:
    print(len(error.problems))
print([name for name in {heavy!r} if name in sys.modules])
"""


def test_a_wrong_config_is_refused_before_anything_heavy_is_imported() -> None:
    heavy = ["torch", "torchvision", "numpy", "sklearn", "mlxtend", "PIL", "scipy", "prefect", "mlflow", "einops"]
    script = IMPORTS.format(path="configs/digits.yaml", heavy=heavy)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2", "[]"]


def configs() -> list[Path]:
    return sorted(Path("configs").glob("*.yaml"))


def test_there_are_configs() -> None:
    assert {path.stem for path in configs()} >= {"digits", "mnist-5k", "fashion-mnist", "mnist", "cifar10"}


@pytest.mark.parametrize("path", configs(), ids=lambda path: path.stem)
def test_a_shipped_config_is_valid(path: Path) -> None:
    config = load(path)
    assert config.name == read_yaml(path).get("name", path.stem)
    assert parse(config.options()) == config


LABELS = {"class_conditional": True}
ALWAYS_TOLD = {"class_conditional": True, "class_dropout": 0}
GUIDED = {"name": "ddim", "guidance_scale": 2.5}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"training": LABELS, "sampling": {"labels": "none", "samplers": [GUIDED]}},
            "sampling.samplers.0.guidance_scale",
            "needs sampling.labels=balanced",
        ),
        (
            {"training": ALWAYS_TOLD, "sampling": {"samplers": [GUIDED]}},
            "sampling.samplers.0.guidance_scale",
            "needs training.class_dropout above 0",
        ),
        (
            {"training": ALWAYS_TOLD, "sampling": {"labels": "none"}},
            "sampling.labels",
            "needs training.class_dropout above 0",
        ),
        (
            {"training": ALWAYS_TOLD, "figures": ["classes"]},
            "figures.0.guidance_scale",
            "needs training.class_dropout above 0",
        ),
        (
            {"training": LABELS, "sampling": {"samplers": [{**GUIDED, "guidance_interval": [200, 800]}]}},
            "sampling.samplers.0.guidance_interval",
            "expected descending timesteps, such as [800, 200]; got [200, 800]",
        ),
        (
            {"training": LABELS, "sampling": {"samplers": [{**GUIDED, "guidance_interval": [3000, 1000]}]}},
            "sampling.samplers.0.guidance_interval",
            "expected timesteps within 0 to 999; got 3000 to 1000",
        ),
        (
            {"training": {"ema_decay": None}, "sampling": {"ema": 0.99}},
            "sampling.ema",
            "expected a decay of training.ema_decay, which is null; got 0.99",
        ),
    ],
)
def test_what_sampling_could_not_do_is_refused_before_training(
    changes: dict[str, Any], path: str, message: str
) -> None:
    found = problems(**changes)
    assert set(found) == {path}
    assert found[path].startswith(message)


def test_what_sampling_can_do_is_not_refused() -> None:
    walks = [{**GUIDED, "guidance_interval": [3000, 200]}, {**GUIDED, "guidance_interval": [300, 300]}]
    Experiment.parse({**CONFIG, "training": LABELS, "sampling": {"samplers": walks}})
    Experiment.parse({**CONFIG, "training": ALWAYS_TOLD, "figures": [{"name": "classes", "guidance_scale": [1]}]})
    Experiment.parse({**CONFIG, "training": LABELS, "sampling": {"labels": "none"}})
    Experiment.parse({**CONFIG, "training": {"ema_decay": None}, "sampling": {"ema": False}})
    Experiment.parse({**CONFIG, "training": {"ema_decay": [0.9, 0.99]}, "sampling": {"ema": 0.99}})


@pytest.mark.parametrize("schedule", ["zero-terminal", {"name": "given", "values": [0.5, 1.0]}])
@pytest.mark.parametrize("name", ["v", "x0"])
@pytest.mark.parametrize("weight", ["min-snr", "p2"])
def test_a_weight_of_zero_where_sampling_starts_is_refused(schedule: object, name: str, weight: str) -> None:
    config = {
        **CONFIG,
        "schedule": schedule,
        "timesteps": 2,
        "objective": {"name": name, "weight": weight},
    }
    with pytest.raises(ConfigError, match=rf"objective: expected weight: none; got {weight}.*never be trained"):
        Experiment.parse(config)
    Experiment.parse({**config, "schedule": "cosine"})
    Experiment.parse({**config, "objective": name})
    Experiment.parse({**config, "objective": {"name": name, "weight": weight, "bound": "full"}})
    objective = Experiment.parse({**config, "schedule": "cosine"}).objective
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    assert float(objective.weights(zero, one)) == 0  # the reason: the weight is 0 where no signal is left


def test_of_many_problems_the_first_twenty_are_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.parse({**CONFIG, **{f"unknown{number}": 1 for number in range(2000)}})
    lines = str(caught.value).splitlines()
    assert lines[0] == "config: more than 20 problems, of which the first are"
    assert len(lines) == 21


def test_a_long_key_is_shortened_where_it_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.parse({**CONFIG, "k" * 100_000: 1})
    assert "k" * 200 + "...: unknown key" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", ["training.batch_size", "training.processes", "threads"])
def test_numbers_beyond_any_machine_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: expected a number less than or equal to"):
        Experiment.parse(apply_overrides(CONFIG, {key: 1_000_000_000}))

"""The section `pictures`, and configs that have nothing else: what they take, refuse and leave untouched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.tiny import tiny

from noisette import ConfigError, Experiment
from noisette.config import Show, load, parse
from noisette.config.figures import Denoise, Forward, Inpaint
from noisette.config.schema import config_schema
from noisette.layout import (
    data_directory,
    evaluation_directory,
    pictures_directory,
    run_directory,
    samples_directory,
    training_directory,
)

EXPERIMENT = {"name": "x", "dataset": "digits", "timesteps": 100}
SHOW = {"name": "x"}
PROMPTS = {"name": "text-to-image", "pipeline": "somewhere", "prompts": ["a cat"]}


def of(pictures: Any, **others: Any) -> Experiment | Show:
    return parse({**EXPERIMENT, **others, "pictures": pictures})


def problems(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(config)
    return str(error.value).splitlines()[1:]


def test_a_name_alone_takes_the_defaults() -> None:
    config = of(["forward", "denoise", {"name": "inpaint", "sampler": {"name": "ddpm", "steps": 10}, "count": 2}])
    assert config.pictures[:2] == (Forward(), Denoise())
    assert isinstance(config.pictures[2], Inpaint)
    assert config.pictures[2].count == 2


@pytest.mark.parametrize(
    ("base", "pictures"),
    [
        (EXPERIMENT, ["denoise", {"name": "forward", "at": [0, 99]}, {**PROMPTS}]),
        (
            {**EXPERIMENT, "training": {"class_conditional": True}},
            ["classes", {"name": "edit", "become": "3"}, "interpolate"],
        ),
        ({**EXPERIMENT, "training": {"low_res_size": 4}}, ["upscale"]),
        (SHOW, [{"name": "forward", "pictures": ["cat.png"], "schedules": ["cosine"], "timesteps": 10, "at": [9]}]),
        (SHOW, [PROMPTS]),
    ],
)
def test_what_is_taken_is_taken_again_and_by_the_schema(base: dict[str, Any], pictures: list[Any]) -> None:
    config = parse({**base, "pictures": pictures})
    assert parse(json.loads(json.dumps(config.options()))) == config
    schema = Draft202012Validator(config_schema())
    assert list(schema.iter_errors({**base, "pictures": pictures})) == []
    assert list(schema.iter_errors(config.options())) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**EXPERIMENT, "pictures": ["denoiz"]}, "pictures.0: expected one of forward, denoise,"),
        ({**EXPERIMENT, "pictures": ["denoiz"]}, "(did you mean 'denoise'?)"),
        ({**EXPERIMENT, "pictures": [{"count": 3}]}, "with such a `name`; got {'count': 3}"),
        (
            {**EXPERIMENT, "pictures": ["forward", {"name": "denoise", "cuont": 3}]},
            "pictures.1.cuont: unknown key; known are name, title, sampler, count, at, animate, frames "
            "(did you mean 'count'?)",
        ),
        ({**EXPERIMENT, "pictures": [{"name": "denoise", "sampler": "dddim"}]}, "pictures.0.sampler: "),
        (
            {**EXPERIMENT, "pictures": [{"name": "denoise", "at": [100]}]},
            "pictures.0.at: expected steps within 0 to 99",
        ),
        (
            {**EXPERIMENT, "pictures": [{"name": "denoise", "sampler": {"name": "ddim", "steps": 200}}]},
            "pictures.0.sampler.steps: ",
        ),
        ({**EXPERIMENT, "pictures": ["classes"]}, "pictures.0: needs training.class_conditional=true"),
        (
            {**EXPERIMENT, "pictures": [{"name": "edit", "become": "3"}]},
            "pictures.0: needs training.class_conditional=true",
        ),
        ({**EXPERIMENT, "pictures": ["upscale"]}, "pictures.0: needs training.low_res_size"),
        (
            {**EXPERIMENT, "training": {"low_res_size": 4}, "pictures": ["denoise"]},
            "pictures.0: is not for networks that enlarge",
        ),
        ({**EXPERIMENT, "pictures": ["denoise", "denoise"]}, "pictures.1.title: expected one that differs"),
        (
            {**EXPERIMENT, "pictures": [{"name": "denoise", "title": "../x"}]},
            "pictures.0.title: expected text that",
        ),
        (
            {**EXPERIMENT, "pictures": [{"name": "forward", "pictures": ["drawn:1"]}]},
            "pictures.0.pictures: expected files",
        ),
        ({**SHOW, "pictures": ["denoise"]}, "pictures.0: denoise needs a trained network: name a dataset"),
        ({**SHOW, "pictures": ["forward"]}, "pictures.0: test:0 is of a data set: name one, or a picture file"),
        ({**SHOW, "pictures": []}, "pictures: expected at least one; got none"),
        ({**SHOW, "pictures": [PROMPTS], "training": {"steps": 3}}, "training: unknown key"),
        ({**SHOW, "pictures": [{"name": "text-to-image", "pipeline": "x"}]}, "pictures.0.prompts: is required"),
        ({"name": "x"}, "dataset: is required"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(config: dict[str, Any], expected: str) -> None:
    found = problems(config)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pictures": []},
        {"pictures": ["denoize"], "dataset": "digits"},
        {"pictures": [{"name": "denoise", "cuont": 3}], "dataset": "digits"},
        {"pictures": [PROMPTS], "training": {}},
        {"name": "x"},
    ],
)
def test_the_schema_refuses_too(wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(config_schema()).is_valid(wrong)


def test_a_file_without_a_data_set_is_a_show(tmp_path: Path) -> None:
    path = tmp_path / "strip.yaml"
    path.write_text("pictures: [{name: forward, pictures: [cat.png]}]")
    show = load(path, ["seed=3", "pictures.0.at=[0,5]"])
    assert isinstance(show, Show)
    assert (show.name, show.seed, show.pictures[0].model_dump()["at"]) == ("strip", 3, (0, 5))
    assert run_directory(show, Path("runs")) == Path("runs/strip")
    path.write_text("dataset: digits")
    assert isinstance(load(path), Experiment)


def test_pictures_move_no_other_directory() -> None:
    """A training that is finished stays finished, whatever pictures are asked for afterwards."""
    plain, listing = tiny(), tiny("pictures=[denoise, forward]")
    root, sampler = Path("runs"), plain.sampling.samplers[0]
    assert data_directory(plain, root) == data_directory(listing, root)
    assert training_directory(plain, root) == training_directory(listing, root)
    assert samples_directory(root, "c", sampler, plain) == samples_directory(root, "c", sampler, listing)
    assert evaluation_directory(root, ["s"], plain) == evaluation_directory(root, ["s"], listing)


def place(*overrides: str, checkpoint: str = "c", scene: str = "{name: edit, picture: a.png}") -> Path:
    experiment = tiny(f"pictures=[{scene}]", *overrides)
    return pictures_directory(Path("runs/x"), checkpoint, experiment.pictures[0], experiment)


def test_the_key_of_pictures_is_what_decides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"one")
    before = place()
    assert place() == before
    assert place("training.log_every=1", "evaluation.baselines=false", "sampling.num_images=3") == before
    assert place("seed=1") != before
    assert place("sampling.clip_x0=2") != before
    assert place(checkpoint="other") != before
    assert place(scene="{name: edit, picture: a.png, at: [3]}") != before
    titled = place(scene="{name: edit, picture: a.png, title: mine}")
    assert titled.name.rpartition("-")[2] == before.name.rpartition("-")[2]
    assert titled.name.startswith("mine-")
    Path("a.png").write_bytes(b"two")
    assert place() != before  # another picture under the same name


def test_a_forward_strip_does_not_hang_on_the_network() -> None:
    assert place(scene="forward", checkpoint="a") != place("timesteps=10", scene="forward", checkpoint="a")
    assert place("sampling.clip_x0=2", scene="forward", checkpoint="b") == place(scene="forward", checkpoint="b")
    assert place(scene="denoise", checkpoint="a") != place(scene="denoise", checkpoint="b")
    assert place(scene="forward", checkpoint="a") == place(scene="forward", checkpoint="b")

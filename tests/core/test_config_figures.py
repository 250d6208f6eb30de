"""The section `images`, and configs that have nothing else: what they take, refuse and leave untouched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.tiny import tiny

from noisette import ConfigError, Experiment
from noisette.config import FiguresConfig, load, parse
from noisette.config.figures import Denoise, Forward, Inpaint
from noisette.config.schema import config_schema
from noisette.layout import (
    data_directory,
    evaluation_directory,
    figures_directory,
    run_directory,
    samples_directory,
    training_directory,
)

EXPERIMENT = {"name": "x", "dataset": "digits", "timesteps": 100}
SHOW = {"name": "x"}
PROMPTS = {"name": "text-to-image", "pipeline": "somewhere", "prompts": ["a cat"]}


def of(images: Any, **others: Any) -> Experiment | FiguresConfig:
    return parse({**EXPERIMENT, **others, "figures": images})


def problems(config: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(config)
    return str(error.value).splitlines()[1:]


def test_a_name_alone_takes_the_defaults() -> None:
    config = of(
        ["forward", "denoise", {"name": "inpaint", "sampler": {"name": "ddpm", "steps": 10}, "num_images": 2}]
    )
    assert config.figures[:2] == (Forward(), Denoise())
    assert isinstance(config.figures[2], Inpaint)
    assert config.figures[2].num_images == 2


@pytest.mark.parametrize(
    ("base", "images"),
    [
        (EXPERIMENT, ["denoise", {"name": "forward", "timesteps": [0, 99]}, {**PROMPTS}]),
        (
            {**EXPERIMENT, "training": {"class_conditional": True}},
            ["classes", {"name": "edit", "class_name": "3"}, "interpolate"],
        ),
        ({**EXPERIMENT, "training": {"low_res_size": 4}}, ["upscale"]),
        (
            SHOW,
            [
                {
                    "name": "forward",
                    "images": ["cat.png"],
                    "schedules": ["cosine"],
                    "num_timesteps": 10,
                    "timesteps": [9],
                }
            ],
        ),
        (SHOW, [PROMPTS]),
    ],
)
def test_what_is_taken_is_taken_again_and_by_the_schema(base: dict[str, Any], images: list[Any]) -> None:
    config = parse({**base, "figures": images})
    assert parse(json.loads(json.dumps(config.options()))) == config
    schema = Draft202012Validator(config_schema())
    assert list(schema.iter_errors({**base, "figures": images})) == []
    assert list(schema.iter_errors(config.options())) == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**EXPERIMENT, "figures": ["denoiz"]}, "figures.0: expected one of forward, denoise,"),
        ({**EXPERIMENT, "figures": ["denoiz"]}, "(did you mean 'denoise'?)"),
        ({**EXPERIMENT, "figures": [{"count": 3}]}, "with such a `name`; got {'count': 3}"),
        (
            {**EXPERIMENT, "figures": ["forward", {"name": "denoise", "num_imagse": 3}]},
            "figures.1.num_imagse: unknown key; known are name, title, sampler, num_images, timesteps, animate, "
            "frames (did you mean 'num_images'?)",
        ),
        ({**EXPERIMENT, "figures": [{"name": "denoise", "sampler": "dddim"}]}, "figures.0.sampler: "),
        (
            {**EXPERIMENT, "figures": [{"name": "denoise", "timesteps": [100]}]},
            "figures.0.timesteps: expected timesteps within 0 to 99",
        ),
        (
            {**EXPERIMENT, "figures": [{"name": "denoise", "sampler": {"name": "ddim", "steps": 200}}]},
            "figures.0.sampler.steps: ",
        ),
        ({**EXPERIMENT, "figures": ["classes"]}, "figures.0: needs training.class_conditional=true"),
        (
            {**EXPERIMENT, "figures": [{"name": "edit", "class_name": "3"}]},
            "figures.0: needs training.class_conditional=true",
        ),
        ({**EXPERIMENT, "figures": ["upscale"]}, "figures.0: needs training.low_res_size"),
        (
            {**EXPERIMENT, "training": {"low_res_size": 4}, "figures": ["denoise"]},
            "figures.0: does not support super-resolution networks",
        ),
        (
            {**EXPERIMENT, "figures": ["denoise", "denoise"]},
            "figures.1.title: expected a unique title; got denoise twice",
        ),
        (
            {**EXPERIMENT, "figures": [{"name": "denoise", "title": "../x"}]},
            "figures.0.title: expected text that",
        ),
        (
            {**EXPERIMENT, "figures": [{"name": "forward", "images": ["generated:1"]}]},
            "figures.0.images: expected image files",
        ),
        ({**SHOW, "figures": ["denoise"]}, "figures.0: denoise needs a trained network: set `dataset`"),
        (
            {**SHOW, "figures": ["forward"]},
            "figures.0: test:0 is an image of a dataset: set `dataset`",
        ),
        ({**SHOW, "figures": []}, "figures: expected at least one; got none"),
        ({**SHOW, "figures": [PROMPTS], "training": {"steps": 3}}, "training: unknown key"),
        ({**SHOW, "figures": [{"name": "text-to-image", "pipeline": "x"}]}, "figures.0.prompts: is required"),
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
        {"figures": []},
        {"figures": ["denoize"], "dataset": "digits"},
        {"figures": [{"name": "denoise", "num_imagse": 3}], "dataset": "digits"},
        {"figures": [PROMPTS], "training": {}},
        {"name": "x"},
    ],
)
def test_the_schema_refuses_too(wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(config_schema()).is_valid(wrong)


def test_a_file_without_a_data_set_is_a_show(tmp_path: Path) -> None:
    path = tmp_path / "strip.yaml"
    path.write_text("figures: [{name: forward, images: [cat.png]}]")
    show = load(path, ["seed=3", "figures.0.timesteps=[0,5]"])
    assert isinstance(show, FiguresConfig)
    assert (show.name, show.seed, show.figures[0].model_dump()["timesteps"]) == ("strip", 3, (0, 5))
    assert run_directory(show, Path("runs")) == Path("runs/strip")
    path.write_text("dataset: digits")
    assert isinstance(load(path), Experiment)


def test_images_move_no_other_directory() -> None:
    """A training that is finished stays finished, whatever images are asked for afterwards."""
    plain, listing = tiny(), tiny("figures=[denoise, forward]")
    root, sampler = Path("runs"), plain.sampling.samplers[0]
    assert data_directory(plain, root) == data_directory(listing, root)
    assert training_directory(plain, root) == training_directory(listing, root)
    assert samples_directory(root, "c", sampler, plain) == samples_directory(root, "c", sampler, listing)
    assert evaluation_directory(root, ["s"], plain) == evaluation_directory(root, ["s"], listing)


def place(*overrides: str, checkpoint: str = "c", figure: str = "{name: edit, image: a.png}") -> Path:
    experiment = tiny(f"figures=[{figure}]", *overrides)
    return figures_directory(Path("runs/x"), checkpoint, experiment.figures[0], experiment)


def test_the_key_of_images_is_what_decides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"one")
    before = place()
    assert place() == before
    assert place("training.log_every=1", "evaluation.baselines=false", "sampling.num_images=3") == before
    assert place("seed=1") != before
    assert place("sampling.clip_x0=2") != before
    assert place(checkpoint="other") != before
    assert place(figure="{name: edit, image: a.png, timesteps: [3]}") != before
    titled = place(figure="{name: edit, image: a.png, title: mine}")
    assert titled.name.rpartition("-")[2] == before.name.rpartition("-")[2]
    assert titled.name.startswith("mine-")
    Path("a.png").write_bytes(b"two")
    assert place() != before  # another image under the same name


def test_a_forward_strip_does_not_hang_on_the_network() -> None:
    assert place(figure="forward", checkpoint="a") != place("timesteps=10", figure="forward", checkpoint="a")
    assert place("sampling.clip_x0=2", figure="forward", checkpoint="b") == place(figure="forward", checkpoint="b")
    assert place(figure="denoise", checkpoint="a") != place(figure="denoise", checkpoint="b")
    assert place(figure="forward", checkpoint="a") == place(figure="forward", checkpoint="b")

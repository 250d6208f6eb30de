from __future__ import annotations

import pytest
from support.packages import Site

from noisette import ConfigError, registry
from noisette.comparison import DEFAULT_STEPS, installed_samplers, parse_samplers, split_samplers
from noisette.comparison.chart import label_without_steps
from noisette.comparison.samplers import expand_steps

STRANGERS = '''
from typing import ClassVar
from noisette import Sampler, hookimpl

class Lazy(Sampler):
    """Waits."""
    name: ClassVar[str] = "lazy"
    def trajectory(self, denoise, x, noise):
        yield x

class Picky(Lazy):
    """Wants to be told."""
    name: ClassVar[str] = "picky"
    mood: str

@hookimpl
def plugins():
    return [Lazy, Picky]
'''


def labels(*values: object) -> list[str]:
    return [sampler.label for sampler in parse_samplers(values)]


def test_samplers_are_named_as_in_a_config_or_in_a_word() -> None:
    assert labels("ddim", "ddpm:variance=fixed-large:steps=20", "{name: heun, steps: 7}") == [
        "ddim-50",
        "ddpm-20-variance=fixed-large",
        "heun-7",
    ]
    assert labels("noisette:dpmpp-2m:sde=true", {"name": "ddim", "eta": 0.5}) == [
        "dpmpp-2m-50-sde=True",
        "ddim-50-eta=0.5",
    ]


def test_a_list_is_split_between_samplers_and_not_inside_them() -> None:
    text = "ddim, {name: heun, steps: 7},ddim:spacing=[9,5,0]:eta=1,,"
    assert split_samplers(text) == ["ddim", "{name: heun, steps: 7}", "ddim:spacing=[9,5,0]:eta=1"]
    assert labels(*split_samplers(text))[2] == "ddim-3-eta=1.0-spacing=9,5,0"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("dimm", r"samplers\.0: no sampler 'dimm'.* did you mean 'ddim'"),
        ("ddpm:variance=large", r"samplers\.0\.variance: expected 'fixed-small', 'fixed-large'"),
        ("ddim:etta=1", r"samplers\.0\.etta: unknown key"),
        ("eta=1", "expected NAME, or NAME:OPTION=VALUE"),
        ("ddpm:variance=fixed-large:huge", "expected NAME, or NAME:OPTION=VALUE"),
        ("{name: ddim", "samplers to compare"),
    ],
)
def test_a_mistake_is_told_in_words(value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_samplers([value])


def test_the_same_sampler_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="ddpm-1000 twice"):
        parse_samplers(["ddpm", "ddpm:variance=fixed-small"])


def test_every_installed_sampler_comes_with_its_variants() -> None:
    samplers, notes = installed_samplers()
    assert notes == []
    labels = [label_without_steps(sampler) for sampler in samplers]
    assert set(registry().names("sampler")) <= set(labels)
    assert {"ddpm variance=fixed-large", "dpmpp-2m sde=True"} <= set(labels)
    assert len(labels) == len(set(labels))


def test_a_strangers_sampler_is_there_and_one_that_needs_options_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "lazy" not in [sampler.name for sampler in installed_samplers()[0]]  # control
    site.install("strangers", STRANGERS)
    there = site.registry()
    for module in ("noisette.comparison.samplers", "noisette.config.reference"):
        monkeypatch.setattr(f"{module}.registry", lambda: there)
    samplers, notes = installed_samplers()
    assert "lazy" in [sampler.name for sampler in samplers]
    assert notes == ["picky is left out: it has no default for mood; give it with its options"]
    assert labels("picky:mood=good") == ["picky-50-mood=good"]


def test_each_sampler_walks_each_length_and_what_was_not_trained_is_left_out() -> None:
    found, notes = expand_steps(parse_samplers(["ddim", "heun"]), DEFAULT_STEPS, 100)
    assert [sampler.label for sampler in found] == [
        f"{name}-{n}" for name in ("ddim", "heun") for n in (5, 10, 20, 50, 100)
    ]
    assert notes == ["250, 1000 steps are left out: the model was trained with 100"]
    assert expand_steps(parse_samplers(["ddim"]), (5, 10), 100)[1] == []
    assert [sampler.label for sampler in expand_steps(parse_samplers(["ddim"]), (10, 5, 10), 100)[0]] == [
        "ddim-5",
        "ddim-10",
    ]


def test_a_walk_whose_steps_are_given_stays_as_it_is() -> None:
    found, _ = expand_steps(parse_samplers(["ddim", "ddim:steps=7", "ddim:spacing=[9,5,0]"]), (5, 7), 100)
    assert [sampler.label for sampler in found] == ["ddim-5", "ddim-7", "ddim-3-spacing=9,5,0"]


def test_no_walk_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 1 to 4, the trained timesteps; got 5, 10"):
        expand_steps(parse_samplers(["ddim"]), (5, 10), 4)


def test_series_are_named_without_their_steps() -> None:
    assert [
        label_without_steps(sampler) for sampler in parse_samplers(["ddpm:variance=fixed-large:steps=9", "ddim"])
    ] == [
        "ddpm variance=fixed-large",
        "ddim",
    ]

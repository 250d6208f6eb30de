from __future__ import annotations

from typing import Any

import pytest

from noisette.config import apply_overrides
from noisette.config.overrides import parse_override
from noisette.config.yaml import parse_yaml
from noisette.errors import ConfigError

CONFIG: dict[str, Any] = {
    "name": "x",
    "backbone": "unet",
    "training": {"steps": 10, "adam_betas": [0.9, 0.999]},
    "sampling": {"samplers": ["ddim", {"name": "ddpm", "steps": 7}]},
}


def changed(*overrides: str) -> dict[str, Any]:
    return apply_overrides(CONFIG, overrides)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("training.lr=1e-3", "training.lr", 1e-3),
        (" training.lr = 1e-3", "training.lr", 1e-3),
        ("dataset.path=/a=b/c.d", "dataset.path", "/a=b/c.d"),
        ("training.max_grad_norm=null", "training.max_grad_norm", None),
        ("training.max_grad_norm=", "training.max_grad_norm", None),
        ("training.adam_betas=[.5, .6]", "training.adam_betas", [0.5, 0.6]),
        ("backbone={name: unet, groups: 4}", "backbone", {"name": "unet", "groups": 4}),
        ("training.random_flip=no", "training.random_flip", "no"),
    ],
)
def test_an_override_is_a_path_and_a_yaml_value(text: str, path: str, value: Any) -> None:
    assert parse_override(text) == (path, value)


def test_keys_are_set_and_sections_made() -> None:
    after = changed("training.steps=5", "evaluation.baselines=false", "seed=3")
    assert after["training"] == {"steps": 5, "adam_betas": [0.9, 0.999]}
    assert after["evaluation"] == {"baselines": False}
    assert after["seed"] == 3


def test_the_config_itself_is_not_changed() -> None:
    before = repr(CONFIG)
    changed("training.steps=5", "training.adam_betas.0=.5", "sampling.samplers.1.steps=1", "backbone.groups=4")
    assert repr(CONFIG) == before


def test_lists_are_set_by_index_and_named_plugins_become_mappings() -> None:
    after = changed("sampling.samplers.0.steps=20", "sampling.samplers.1.steps=30", "training.adam_betas.1=.99")
    assert after["sampling"]["samplers"] == [{"name": "ddim", "steps": 20}, {"name": "ddpm", "steps": 30}]
    assert after["training"]["adam_betas"] == [0.9, 0.99]
    assert changed("backbone.groups=4", "backbone.blocks=1")["backbone"] == {
        "name": "unet",
        "groups": 4,
        "blocks": 1,
    }


def test_a_plugin_may_be_exchanged_before_its_options_are_set() -> None:
    assert changed("backbone=dit", "backbone.depth=3")["backbone"] == {"name": "dit", "depth": 3}


def test_later_overrides_win() -> None:
    assert changed("training.steps=1", "training.steps=2")["training"]["steps"] == 2


def test_what_an_alias_shares_is_set_in_one_place_only() -> None:
    config = parse_yaml("samplers: [&s {name: ddim, steps: 1}, *s]", "here")
    after = apply_overrides(config, ["samplers.1.steps=2"])
    assert [sampler["steps"] for sampler in after["samplers"]] == [1, 2]


def test_a_mapping_of_paths_is_taken_as_it_is() -> None:
    assert apply_overrides(CONFIG, {"training.steps": "5"})["training"]["steps"] == "5"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps", "expected PATH=VALUE, such as training.steps=500"),
        ("=5", "got an empty key in it"),
        ("training..steps=5", "got an empty key in it"),
        ("training.=5", "got an empty key in it"),
        ("sampling.samplers.2.steps=5", "expected an index from 0 to 1; got '2'"),
        ("sampling.samplers.-1.steps=5", "expected an index from 0 to 1; got '-1'"),
        ("sampling.samplers.²=5", "expected an index from 0 to 1; got '²'"),
        ("sampling.samplers.first=5", "expected an index from 0 to 1; got 'first'"),
        (f"training.adam_betas.{'1' * 5000}=5", "expected an index from 0 to 1; got "),
        ("training.steps.more=5", "training.steps is 10 and has no keys"),
        ("training.adam_betas.0.x=5", "training.adam_betas.0 is 0.9 and has no keys"),
        ("training.steps=[1, 2", "line 1, column 6: expected ',' or ']'"),
    ],
)
def test_a_wrong_override_is_refused_and_quoted(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(override)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--set {override.partition('=')[0]}")


def test_an_empty_list_has_no_index() -> None:
    with pytest.raises(ConfigError, match="expected a list that is not empty; got '0'"):
        apply_overrides({"samplers": []}, ["samplers.0=1"])

"""The settings of the originals, and the difference that a proof must see; the comparisons are `make prove`."""

from __future__ import annotations

import math

import pytest
import torch
from proofs.comparison import Comparison, compare
from proofs.initial import fill_with_bounds
from proofs.ours import Training, seed_dropout
from proofs.plants import PLANTS, Plant, find, unplanted
from proofs.recipe import STAGES, merge_qkv
from proofs.scratch import FromScratch
from proofs.settings import DEVIATIONS, ORIGINALS, SETTINGS, Setting, load_recipe, rows
from proofs.table import BEGIN, END, PAGE, render
from support.environment import REPOSITORY


def test_every_recipe_has_its_settings() -> None:
    assert set(ORIGINALS) == set(SETTINGS) == set(DEVIATIONS)
    for recipe, settings in SETTINGS.items():
        assert (REPOSITORY / "configs" / f"{recipe}.yaml").is_file()
        names = [setting.name for setting in settings]
        assert len(names) == len(set(names)), recipe
        assert set(DEVIATIONS[recipe]) <= set(names), recipe


@pytest.mark.parametrize("recipe", SETTINGS)
def test_every_setting_is_the_originals_or_listed(recipe: str) -> None:
    unlisted = [row for row in rows(recipe) if not row.is_equal and not row.reason]
    stale = [row for row in rows(recipe) if row.is_equal and row.reason]
    assert unlisted == []
    assert stale == []


def test_control_a_difference_is_seen() -> None:
    setting = next(setting for setting in SETTINGS["tutorial"] if setting.name == "learning rate")
    assert setting.ours(load_recipe("tutorial")) == setting.original
    assert setting.ours(load_recipe("tutorial", {"training.lr": 1e-4})) != setting.original


def test_an_option_that_appears_is_read() -> None:
    config = load_recipe("tutorial")
    assert Setting("later", 10, "training.no_such_option", 1).ours(config) == 1
    assert Setting("there", 10, "training.batch_size", 1).ours(config) == 32
    with pytest.raises(KeyError, match="no_such_option"):
        Setting("gone", 10, "training.no_such_option").ours(config)


@pytest.mark.parametrize(("changes", "equal"), [({}, True), ({"training.lr": 1e-3}, False)])
def test_the_trainers_own_step_is_compared(changes: dict[str, float], equal: bool) -> None:
    recipe = FromScratch("mnist-from-scratch", {**FromScratch.narrow, **changes})
    torch.manual_seed(0)
    network = recipe.network(narrow=True)
    training = Training(recipe.experiment, recipe.shape, recipe.our_weights(network.state_dict()))
    optimizer = recipe.optimizer(network)
    x0, t, eps, label = recipe.batch(0)
    training.step(x0, t, eps, label)
    seed_dropout(recipe.experiment, 0)
    recipe.loss(network, x0, t, eps, label).backward()
    optimizer.step()
    theirs = recipe.our_weights({name: p.detach() for name, p in network.named_parameters()})
    assert (compare("step", training.weights(), theirs).verdict == "equal") is equal


@pytest.fixture(scope="module")
def control() -> list[Comparison]:
    return unplanted(FromScratch, Plant("nothing", "mnist-from-scratch", "gradient"))


def test_what_is_planted_is_found(control: list[Comparison]) -> None:
    assert {x.verdict for x in control} == {"equal"}
    by_name = {plant.name: plant for plant in PLANTS}
    assert find(FromScratch, Plant("nothing", "mnist-from-scratch", "gradient"), control) == []
    assert find(FromScratch, by_name["initialisation"], control) == ["initial weights"]
    assert "gradient" in find(FromScratch, by_name["timestep off by one"], control)
    assert find(FromScratch, by_name["beta schedule"], control) == ["loss", "gradient", "setting 'last beta'"]


def test_a_listed_difference_of_another_size_is_found() -> None:
    class Listed:
        def __init__(self, name: str, changes: object, *, narrow: bool) -> None:
            self.difference = 0.02 if changes else 0.01

        def compare(self, stage: str) -> list[Comparison]:
            return [Comparison("x", self.difference, "why")]

    plants = [Plant("plant", "cifar10", "gradient", changes) for changes in ({}, {"seed": 1})]
    found = [find(Listed, plant, unplanted(Listed, plants[0])) for plant in plants]  # type: ignore[arg-type]
    assert found == [[], ["x"]]


def test_at_least_twenty_deviations_are_planted_one_at_a_time() -> None:
    assert len({plant.name for plant in PLANTS}) == len(PLANTS) >= 20
    for plant in PLANTS:
        assert plant.stage in ("", *STAGES)
        load_recipe(plant.recipe, dict(plant.changes))
        if not plant.stage:
            assert find(FromScratch, plant, []), plant.name
    assert {plant.recipe for plant in PLANTS} == set(SETTINGS)


def test_initial_weights_tell_their_distribution() -> None:
    with fill_with_bounds():
        linear, table = torch.nn.Linear(16, 2), torch.nn.Embedding(3, 2)
    assert linear.weight.unique().tolist() == [0.25]
    assert table.weight.unique().tolist() == [-1]
    assert len(torch.nn.Linear(16, 2).weight.unique()) > 1


def test_queries_keys_and_values_become_one_layer() -> None:
    state = {f"a.{part}.weight": torch.full((1, 2), value) for part, value in (("v", 3.0), ("q", 1.0), ("k", 2.0))}
    merged = merge_qkv({**state, "out.bias": torch.zeros(1)})
    assert merged["a.qkv.weight"][:, 0].tolist() == [1, 2, 3]
    assert set(merged) == {"a.qkv.weight", "out.bias"}


def test_verdicts() -> None:
    verdicts = [
        Comparison("x", 1e-6),
        Comparison("x", 1e-4),
        Comparison("x", 1e-4, "why"),
        Comparison("x", 0, "why"),
    ]
    assert [x.verdict for x in verdicts] == ["equal", "DIFFERENT", "listed", "STALE"]
    assert Comparison("x", math.nan).verdict == "DIFFERENT"


def test_differences_are_absolute_up_to_one_and_relative_beyond() -> None:
    small, large = torch.tensor([0.5, 0.25]), torch.tensor([100.0, 50.0])
    assert compare("x", small + 0.125, small).difference == 0.125
    assert compare("x", large + 1, large).difference == pytest.approx(0.01)
    assert math.isnan(compare("x", small * math.nan, small).difference)
    with pytest.raises(ValueError, match="names or shapes differ"):
        compare("x", {"a": small}, {"b": small})


def test_the_page_is_as_generated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert shown == render(), "run `make prove ARGS=--write`"

"""Every check can fail: for each there is a wrong plugin that it catches, and a right twin that it passes."""

from __future__ import annotations

from functools import partial
from importlib import import_module

import pytest
import torch
from conformance.case import Case

from noisette.contracts import KINDS
from noisette.testing import checks_for

MODULES = (
    "common",
    "schedules",
    "objectives",
    "backbones",
    "objective_losses",
    "backbone_inputs",
    "sampler_inputs",
    "samplers",
    "sampler_laws",
    "features",
    "metrics",
    "metric_sets",
    "model_metrics",
    "datasets",
    "dataset_passes",
    "feature_batches",
    "feature_names",
    "metric_values",
    "objective_ranges",
    "backbone_ranges",
    "schedule_papers",
)
CASES: list[Case] = [case for module in MODULES for case in import_module(f"conformance.wrong.{module}").CASES]


def check_of(case: Case):
    return next(check for check in checks_for(case.wrong) if check.name == case.check)


@pytest.fixture(autouse=True)
def _compiled_in_part(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torch.compile trace a network and leave out the C++, which takes half a minute."""
    if not full:
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_wrong_plugin_is_caught(case: Case) -> None:
    with pytest.raises(AssertionError) as caught:
        check_of(case)(case.wrong)
    message = str(caught.value)
    assert type(case.wrong).__name__ in message, "names the plugin"
    assert ": expected " in message
    assert "; got " in message
    assert __file__.rpartition("/tests/")[0] in message or "in " not in message, "names a file"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_right_twin_passes(case: Case) -> None:
    check_of(case)(case.right)


def test_every_check_has_a_wrong_plugin() -> None:
    there = {check.function for kind in KINDS.values() for check in checks_for(kind)}
    caught = {check_of(case).function for case in CASES}
    assert {function.__qualname__ for function in there - caught} == set()

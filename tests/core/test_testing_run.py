"""Running checks: results as data, expected failures, skips, names."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import ClassVar

import pytest
from pydantic import Field

from noisette import DataError, Features, PluginError, Sampler
from noisette.contracts import KINDS
from noisette.testing import Check, Result, Skip, checks_for, run_checks
from noisette.testing.check import require
from noisette_plugins.backbones import UNet
from noisette_plugins.samplers import DDIM
from noisette_plugins.schedules import Linear


class SaysSecondOrder(DDIM):
    """DDIM that claims too much."""

    order: ClassVar[int] = 2


class Crashes(DDIM):
    """Raises in the middle of a walk."""

    def trajectory(self, denoise, x, noise):
        raise RuntimeError("boom")
        yield x


class NeedsOptions(DDIM):
    """Has no default."""

    power: float = Field(description="must be given")


class WithoutWeights(Features):
    """Its weights are elsewhere."""

    name: ClassVar[str] = "without-weights"
    dimensions: ClassVar[int] = 3

    def weights_sha256(self) -> str:
        raise DataError("weights are elsewhere")

    def load(self, device):
        raise DataError("weights are elsewhere: put them here")


def outcomes(results: list[Result]) -> dict[str, str]:
    return {result.check: result.outcome for result in results}


def test_every_kind_has_checks_with_unique_names_and_a_proof() -> None:
    for contract in KINDS.values():
        checks = checks_for(contract)
        names = [check.name for check in checks]
        assert len(names) >= 10
        assert len(set(names)) == len(names)
        assert all(check.proves for check in checks)


def test_results_say_what_came_of_each_check() -> None:
    results = run_checks(SaysSecondOrder, only=["order", "is-a-plugin"])
    assert outcomes(results) == {"is-a-plugin": "passed", "order": "failed"}
    failed = results[1]
    assert failed.plugin == "SaysSecondOrder()"
    assert failed.message.startswith("SaysSecondOrder(): order: expected 2, as declared; got 0.9")
    assert not failed.ok
    assert failed.seconds > 0
    assert json.loads(json.dumps(asdict(failed)))["outcome"] == "failed"


def test_an_expected_failure_is_none_and_keeps_its_reason() -> None:
    (result,) = run_checks(SaysSecondOrder(), {"order": "on purpose"}, only=["order"])
    assert result.outcome == "expected"
    assert result.ok
    assert result.message.startswith("on purpose: SaysSecondOrder(): order")


def test_a_failure_that_was_expected_and_did_not_come_is_one() -> None:
    (result,) = run_checks(DDIM(), {"order": "I thought so"}, only=["order"])
    assert result.outcome == "failed"
    assert "was expected to fail (I thought so) but passed" in result.message


def test_expectations_may_depend_on_the_plugin() -> None:
    def expected(plugin: Sampler) -> dict[str, str]:
        return {"order": "claims too much"} if plugin.order == 2 else {}

    assert outcomes(run_checks(SaysSecondOrder, expected, only=["order"])) == {"order": "expected"}
    assert outcomes(run_checks(DDIM, expected, only=["order"])) == {"order": "passed"}


def test_an_error_of_the_plugin_is_a_failure_that_says_where() -> None:
    (result,) = run_checks(Crashes, only=["any-batch-and-split-same-bits"])
    assert result.outcome == "failed"
    assert "expected no error; got RuntimeError: boom" in result.message
    assert __file__ in result.message


def test_what_cannot_be_checked_is_skipped_with_the_reason() -> None:
    came = {result.check: result for result in run_checks(WithoutWeights)}
    assert came["has-descriptions"].outcome == "passed"
    assert came["vectors-as-declared"].outcome == "skipped"
    assert "weights are elsewhere: put them here" in came["vectors-as-declared"].message
    assert came["vectors-as-declared"].ok


def test_slow_checks_wait_until_they_are_asked_for() -> None:
    assert [check.name for kind in KINDS.values() for check in checks_for(kind) if check.slow] == [
        "compiled-agrees"
    ]
    backbone = UNet(channels=8, multipliers=(1,), attention=(), groups=4)
    (result,) = run_checks(backbone, only=["compiled-agrees"])
    assert result.outcome == "skipped"
    assert "slow" in result.message


@pytest.mark.parametrize("where", ["expected_failed", "only"])
def test_a_misspelt_check_is_refused_with_the_nearest(where: str) -> None:
    with pytest.raises(PluginError, match=r"DDIM\(\): no check 'ordre' for a sampler; did you mean 'order'"):
        run_checks(DDIM, **{where: {"ordre": "x"}})


def test_a_class_that_needs_options_asks_for_an_instance() -> None:
    with pytest.raises(PluginError, match=r"NeedsOptions: cannot be made without options .* give an instance"):
        run_checks(NeedsOptions)
    assert outcomes(run_checks(NeedsOptions(power=1.0), only=["is-a-plugin"])) == {"is-a-plugin": "passed"}


@pytest.mark.parametrize("thing", ["ddim", object, Sampler])
def test_what_is_no_plugin_is_refused(thing: object) -> None:
    with pytest.raises(PluginError, match=r"expected a plugin or its class|cannot be made"):
        run_checks(thing)


def test_a_check_passes_failures_and_skips_on() -> None:
    def failing(plugin: Linear) -> None:
        require(False, plugin, "all", "yes", "no")

    def skipping(plugin: object) -> None:
        raise Skip("not here")

    with pytest.raises(AssertionError, match=r"^Linear\(\): all: expected yes; got no\nin .*linear.py:"):
        Check("failing", failing)(Linear())
    with pytest.raises(Skip, match="not here"):
        Check("skipping", skipping)(Linear())


def test_the_kit_is_imported_without_torch_and_pytest() -> None:
    code = (
        "import sys; from noisette.testing import run_checks, parametrize_with_checks, Result; "
        "print(sorted({'torch', 'numpy', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

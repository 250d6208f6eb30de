"""Conformance kit: checks that a plugin is correct in under a minute on a CPU, with no data and no training.

    from noisette.testing import parametrize_with_checks

    @parametrize_with_checks([Heun()])
    def test_heun(plugin, check):
        check(plugin)

Samplers run with exact denoisers of known image distributions, and objectives are minimised on such a distribution.
The other kinds are checked against their contracts. The message of a failed check has the plugin, the expected and
the actual value. `run_checks` returns the results as data, without pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.testing.check import Check, Result, Skip
    from noisette.testing.distributions import Gaussian, LabelledMixture, Mixture, guided_law
    from noisette.testing.run import checks_for, parametrize_with_checks, run_checks
    from noisette.testing.trajectories import ExactDenoiser, ExactLabelledDenoiser

__all__ = [
    "Check",
    "ExactDenoiser",
    "ExactLabelledDenoiser",
    "Gaussian",
    "LabelledMixture",
    "Mixture",
    "Result",
    "Skip",
    "checks_for",
    "guided_law",
    "parametrize_with_checks",
    "run_checks",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Check": "noisette.testing.check",
        "ExactDenoiser": "noisette.testing.trajectories",
        "ExactLabelledDenoiser": "noisette.testing.trajectories",
        "Gaussian": "noisette.testing.distributions",
        "LabelledMixture": "noisette.testing.distributions",
        "Mixture": "noisette.testing.distributions",
        "Result": "noisette.testing.check",
        "Skip": "noisette.testing.check",
        "checks_for": "noisette.testing.run",
        "guided_law": "noisette.testing.distributions",
        "parametrize_with_checks": "noisette.testing.run",
        "run_checks": "noisette.testing.run",
    },
)

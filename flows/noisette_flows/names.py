"""Names of flow runs that a person can read in a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from noisette import NoisetteError
from noisette.config import load
from noisette_flows.asked import asked, config_file

__all__ = ["compared", "named"]

_FIELDS = ("steps", "samplers", "seed")


def named(pattern: str) -> Callable[[], str]:
    """Return a function that names the current flow run after its experiment.

    Args:
        pattern: format string over `experiment`, such as ``"train {experiment.training.steps} steps"``.
    """

    def name() -> str:
        from prefect.runtime import flow_run

        parameters = flow_run.parameters
        try:
            changes = asked(parameters.get("overrides"), *(parameters.get(one) for one in _FIELDS))
            experiment = load(config_file(parameters["config"]), changes)
            return f"{experiment.name}: {pattern.format(experiment=experiment)}"
        except (
            NoisetteError,
            AttributeError,
        ):  # the flow itself raises it, as its own failure: pictures have no data
            return f"{Path(parameters['config']).stem}: config with problems"

    return name


def compared() -> str:
    """Return the name of the current flow run that compares samplers: that of the run directory or config."""
    from prefect.runtime import flow_run

    place = Path(flow_run.parameters["checkpoint"]).absolute()
    run = next((parent.parent for parent in (place, *place.parents) if parent.name == "checkpoints"), place)
    chosen = [one["name"] if isinstance(one, dict) else str(one) for one in flow_run.parameters["samplers"] or ()]
    told = ", ".join(chosen) if len(chosen) <= 3 else f"{len(chosen)} samplers"
    return f"{run.stem}: compare {told or 'all samplers'}"

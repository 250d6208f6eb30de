"""Registering a trained model in MLflow, as a version of a named model with an alias.

Models are registered only on request: a registry holds models that someone has chosen. Registering every run of a
sweep would fill it with unwanted models and send all weights over the network.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from noisette import Experiment, NoisetteError
from noisette.checkpoint import Checkpoint
from noisette_flows.tracking import Store, SyncState, catch_up
from noisette_flows.tracking.runs import PARENT, make_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

__all__ = ["RegisteredVersion", "RegistryError", "register"]

_DIGEST = "noisette.checkpoint"


class RegistryError(NoisetteError):
    """A model that MLflow did not accept."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a model in MLflow's registry.

    Attributes:
        name: name of the model.
        version: version number.
        alias: alias that now refers to it.
        new: whether the version was created by this call.
    """

    name: str
    version: str
    alias: str
    new: bool

    @property
    def uri(self) -> str:
        """The URI with the alias, for `mlflow models serve -m`."""
        return f"models:/{self.name}@{self.alias}"


def register(checkpoint: Checkpoint, store: Store, name: str, alias: str) -> RegisteredVersion:
    """Register a checkpoint as a version of a model, unless it already is one, and set an alias.

    Args:
        checkpoint: a trained model.
        store: MLflow's tracking store; it must answer.
        name: name of the model.
        alias: alias to set on the version.

    Raises:
        RegistryError: if MLflow does not answer, or rejects the name or alias.
        CheckpointError: if the checkpoint is damaged, or a plugin that it needs is missing.
    """
    try:
        with redirect_stderr(io.StringIO()), _client(store) as client:  # errors are raised as exceptions
            known = _find_version(client, name, checkpoint.digest)
            number = known or _log_model(client, checkpoint, store, name)
            client.set_registered_model_alias(name, alias, number)
            return RegisteredVersion(name, number, alias, known is None)
    except NoisetteError:
        raise
    except Exception as error:  # raised by many libraries
        reason = store.redact(str(error).partition("\n")[0])
        raise RegistryError(f"MLflow at {store.display_uri} did not take the model: {reason}") from None


@contextmanager
def _client(store: Store) -> Iterator[MlflowClient]:
    import mlflow

    client, before = make_client(store), mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.for_client())
    try:
        yield client
    finally:
        mlflow.set_tracking_uri(before)


def _find_version(client: MlflowClient, name: str, digest: str) -> str | None:
    """Return the version of a model that is this checkpoint, or None."""
    found = client.search_model_versions(f"name = {name!r}")
    same = [one.version for one in found if one.tags.get(_DIGEST) == digest]
    return str(same[0]) if same else None


def _log_model(client: MlflowClient, checkpoint: Checkpoint, store: Store, name: str) -> str:
    import mlflow
    from mlflow.models import Model, ModelSignature

    from noisette.model.weights import export_inference_checkpoint
    from noisette_flows.model_registry.pyfunc import CHECKPOINT, INPUT_SCHEMA, OUTPUT_SCHEMA

    code = Path(__file__).with_name("pyfunc_code.py")
    about, run = checkpoint.about, _find_or_send_run(client, checkpoint, store)
    made = client.create_logged_model(  # in the run's experiment instead of MLflow's default
        run.experiment_id, name="model", source_run_id=run.run_id, params={"step": str(checkpoint.step)}
    )
    with tempfile.TemporaryDirectory(prefix="noisette-") as folder:
        weights = export_inference_checkpoint(checkpoint, Path(folder) / CHECKPOINT)
        logged = Model.log(
            artifact_path=None,
            model_id=made.model_id,
            flavor=mlflow.pyfunc,
            run_id=run.run_id,
            registered_model_name=name,
            python_model=str(code),
            artifacts={CHECKPOINT: str(weights.directory)},
            signature=ModelSignature(inputs=INPUT_SCHEMA, outputs=OUTPUT_SCHEMA),
            pip_requirements=[f"noisette=={version('noisette')}"],
            metadata={key: about[key] for key in ("shape", "classes", "plugins")},
        )
    number = str(logged.registered_model_version)
    tags = {_DIGEST: checkpoint.digest, "noisette.step": checkpoint.step, "noisette.run": checkpoint.run.name}
    for tag, value in tags.items():
        client.set_model_version_tag(name, number, tag, str(value))
    return number


def _find_or_send_run(client: MlflowClient, checkpoint: Checkpoint, store: Store) -> RunInfo:
    """Return the run that trained the model; it is created if the store does not have it."""
    sync_state = SyncState.load(checkpoint.run, store)
    if PARENT not in sync_state.runs:
        catch_up(Experiment.parse(checkpoint.about["experiment"]), checkpoint.run, store, {})
        sync_state = SyncState.load(checkpoint.run, store)
    if PARENT not in sync_state.runs:
        raise RegistryError(f"MLflow at {store.display_uri} has no run of {checkpoint.run}: it does not answer")
    run = client.get_run(sync_state.runs[PARENT]).info
    if run.lifecycle_stage != "active":
        raise RegistryError(f"{checkpoint.run}: its run was deleted in MLflow; `noisette run` makes it again")
    return run

"""The data set as MLflow's input of a run: its name, digest and counts, on the page and in searches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from noisette import Experiment, NoisetteError, Prepared
from noisette.layout import data_directory

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["pictures_of"]

_DIGEST = 8  # characters; MLflow's page shows them all


def pictures_of(experiment: Experiment, run: Path) -> list[DatasetInput]:
    """Return the training and the test pictures of an experiment; nothing while they are not prepared."""
    try:
        data = Prepared.finished(data_directory(experiment, run.parent))
    except NoisetteError:  # its source is gone; what was prepared of it may still be trained on
        return []
    if data is None:
        return []
    return [_input(experiment, data, "train", "training"), _input(experiment, data, "test", "evaluation")]


def _input(experiment: Experiment, data: Prepared, split: str, context: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    count = data.about["counts"][split]["accepted"]
    shape = [count, *data.shape]
    profile = {"num_rows": count, "shape": shape, "classes": len(data.classes)}
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, *data.shape]}}
    dataset = Dataset(
        name=f"{experiment.dataset.name} {split}",
        digest=data.digest[:_DIGEST],
        source_type="local",
        source=json.dumps({"uri": str(data.directory.absolute() / f"{split}.npy")}),
        schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps([tensor]), "targets": None}}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])

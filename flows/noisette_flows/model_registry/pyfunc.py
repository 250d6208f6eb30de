"""A registered model for MLflow: takes a table of requests, returns a table of PNG images.

| column     | type   | default                                              |
|------------|--------|------------------------------------------------------|
| `index`    | long   | the row number; image i starts from noise (seed, i)  |
| `seed`     | long   | the experiment's                                     |
| `label`    | string | classes in turn by index, as in `noisette sample`    |
| `sampler`  | string | the experiment's first; ``ddim``, or ``ddim:eta=1``  |
| `steps`    | long   | the sampler's                                        |
| `guidance_scale` | double | the sampler's                                  |

Each column is optional, but at least one is required. The response has `index`, `label` and `png`, the file in
base64. The same row gives the same image, whatever the other rows. A request has at most 1,024 rows.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from noisette import NoisetteError
from noisette.checkpoint import Checkpoint

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd  # type: ignore[import-untyped]
    from numpy.typing import NDArray

    from noisette.figures import ImageGenerator

__all__ = ["CHECKPOINT", "INPUT_SCHEMA", "OUTPUT_SCHEMA", "NoisettePyfunc"]

CHECKPOINT = "checkpoint"
"""Name of the artifact with the weights."""

_BATCH_SIZE = 64  # images that are generated at once
_MAX_ROWS = 1024  # per request: sampling continues after the client disconnects
_MAX_INTEGER = 2**53  # largest range in which JSON and pandas preserve integers
_MAX_GUIDANCE = 1000.0


class _SamplingOptions(NamedTuple):
    """The sampling options of an image; rows with the same options are sampled together."""

    sampler: str | None
    steps: int | None
    guidance_scale: float | None
    seed: int | None
    has_label: bool


class NoisettePyfunc(PythonModel):
    """Generates images with registered weights."""

    def load_context(self, context: Any) -> None:
        """Load the checkpoint after verifying its hashes."""
        from noisette.figures import ImageGenerator

        checkpoint = Checkpoint.open(Path(context.artifacts[CHECKPOINT]))
        first = checkpoint.about["experiment"]["sampling"]["samplers"][0]
        self._generator = ImageGenerator.open(checkpoint, first)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Generate an image for each row.

        Raises:
            MlflowException: if a sampler, class or number of steps is invalid; a server answers 400 and the reason.
        """
        import pandas as pd

        rows = _validate_rows([_drop_missing(row) for row in model_input.to_dict("records")])
        wanted = [(row.get("index", number), row.get("label")) for number, row in enumerate(rows)]
        groups: dict[_SamplingOptions, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(_sampling_options(row), []).append(number)
        answer: list[dict[str, Any]] = [{}] * len(rows)
        try:
            for sampling, members in groups.items():
                for start in range(0, len(members), _BATCH_SIZE):
                    batch = members[start : start + _BATCH_SIZE]
                    generated = self._generate(sampling, [wanted[number] for number in batch])
                    for number, image in zip(batch, generated, strict=True):
                        answer[number] = image
        except NoisetteError as error:
            raise _invalid(str(error)) from None
        return pd.DataFrame(answer, columns=[column.name for column in OUTPUT_SCHEMA.inputs])

    def _generate(self, sampling: _SamplingOptions, wanted: list[tuple[int, str | None]]) -> list[dict[str, Any]]:
        generator = self._generator_for(sampling)
        indices = [index for index, _ in wanted]
        known = generator.model.classes
        labels = [label or (known[index % len(known)] if known else "") for index, label in wanted]
        images = generator.generate(indices, labels if sampling.has_label else None)
        return [
            {"index": index, "label": label, "png": _png(image)}
            for index, label, image in zip(indices, labels, images, strict=True)
        ]

    def _generator_for(self, sampling: _SamplingOptions) -> ImageGenerator:
        from noisette.comparison.samplers import parse_samplers

        sampler = self._generator.sampler
        if sampling.sampler is not None:
            (sampler,) = parse_samplers([sampling.sampler])
        requested = {"steps": sampling.steps, "guidance_scale": sampling.guidance_scale}
        given = {key: value for key, value in requested.items() if value is not None}
        options = {**sampler.model_dump(exclude_unset=True), **given, "name": sampler.name}
        return self._generator.with_sampler(options, seed=sampling.seed)


def _drop_missing(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None and value == value}


def _validate_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with integers where they are required.

    Raises:
        MlflowException: if there are no rows or too many, or a number does not fit its column.
    """
    if not 0 < len(rows) <= _MAX_ROWS:
        raise _invalid(f"expected 1 to {_MAX_ROWS} rows; got {len(rows)}")
    for number, row in enumerate(rows):
        for key in {"index", "seed", "steps"} & row.keys():
            value = row[key]
            if not isinstance(value, int | float) or value != value // 1 or not 0 <= value <= _MAX_INTEGER:
                raise _invalid(f"row {number}: {key}: expected a whole number from 0 to 2^53; got {value!r}")
            row[key] = int(value)
        if abs(row.get("guidance_scale", 0.0)) > _MAX_GUIDANCE:
            raise _invalid(
                f"row {number}: guidance_scale: expected at most {_MAX_GUIDANCE:g}; got {row['guidance_scale']}"
            )
    return rows


def _invalid(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


def _sampling_options(row: dict[str, Any]) -> _SamplingOptions:
    return _SamplingOptions(
        row.get("sampler"), row.get("steps"), row.get("guidance_scale"), row.get("seed"), "label" in row
    )


def _png(image: NDArray[np.uint8]) -> str:
    from noisette.figures import to_image

    file = io.BytesIO()
    to_image(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


# disables MLflow's conversion, which would turn 1.5 into 1 and 2^63 into -2^63 before validation
_UNCHANGED = AnyType()  # type: ignore[no-untyped-call]

INPUT_SCHEMA = Schema(
    [
        ColSpec(_UNCHANGED, "index", required=False),
        ColSpec(_UNCHANGED, "seed", required=False),
        ColSpec(DataType.string, "label", required=False),
        ColSpec(DataType.string, "sampler", required=False),
        ColSpec(_UNCHANGED, "steps", required=False),
        ColSpec(DataType.double, "guidance_scale", required=False),
    ]
)
OUTPUT_SCHEMA = Schema(
    [ColSpec(DataType.long, "index"), ColSpec(DataType.string, "label"), ColSpec(DataType.string, "png")]
)

"""A registered model as MLflow runs it: a table of wishes in, a table of PNG pictures out.

| column     | type   | if it is left out                                    |
|------------|--------|------------------------------------------------------|
| `index`    | long   | the row's number: picture i draws from noise (seed, i) |
| `seed`     | long   | the experiment's                                     |
| `label`    | string | classes in turn by index, as `noisette sample` draws |
| `sampler`  | string | the experiment's first; ``ddim``, or ``ddim:eta=1``  |
| `steps`    | long   | the sampler's                                        |
| `guidance` | double | the sampler's                                        |

Every column may be left out, but not all of them. The answer has `index`, `label` and `png`, the file in base64.
The same row gives the same picture, whichever rows are beside it. A request has at most 1,024 rows.
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

    from noisette.figures import Painter

__all__ = ["ASKED", "CHECKPOINT", "GIVEN", "Drawer"]

CHECKPOINT = "checkpoint"
"""Name of the artifact with the weights."""

_TOGETHER = 64  # pictures that are drawn at once
_MOST_ROWS = 1024  # of a request: it goes on after its client is gone
_LARGEST = 2**53  # up to here JSON and pandas keep whole numbers
_MOST_GUIDANCE = 1000.0


class _Way(NamedTuple):
    """How a picture is drawn; rows that share it are drawn together."""

    sampler: str | None
    steps: int | None
    guidance: float | None
    seed: int | None
    labelled: bool


class Drawer(PythonModel):
    """Draws with the weights that were registered."""

    def load_context(self, context: Any) -> None:
        """Load the checkpoint, its hashes verified."""
        from noisette.figures import Painter

        checkpoint = Checkpoint.open(Path(context.artifacts[CHECKPOINT]))
        first = checkpoint.about["experiment"]["sampling"]["samplers"][0]
        self._painter = Painter.open(checkpoint, first)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Draw one picture a row.

        Raises:
            MlflowException: if there is no such sampler, class or length; a server answers 400 with the reason.
        """
        import pandas as pd

        rows = _checked([_told(row) for row in model_input.to_dict("records")])
        asked = [(row.get("index", number), row.get("label")) for number, row in enumerate(rows)]
        groups: dict[_Way, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(_way(row), []).append(number)
        answer: list[dict[str, Any]] = [{}] * len(rows)
        try:
            for way, members in groups.items():
                for start in range(0, len(members), _TOGETHER):
                    batch = members[start : start + _TOGETHER]
                    drawn = self._draw(way, [asked[number] for number in batch])
                    for number, picture in zip(batch, drawn, strict=True):
                        answer[number] = picture
        except NoisetteError as error:
            raise _refusal(str(error)) from None
        return pd.DataFrame(answer, columns=[column.name for column in GIVEN.inputs])

    def _draw(self, way: _Way, asked: list[tuple[int, str | None]]) -> list[dict[str, Any]]:
        painter = self._chosen(way)
        indices = [index for index, _ in asked]
        known = painter.model.classes
        labels = [label or (known[index % len(known)] if known else "") for index, label in asked]
        pictures = painter.draw(indices, labels if way.labelled else None)
        return [
            {"index": index, "label": label, "png": _png(picture)}
            for index, label, picture in zip(indices, labels, pictures, strict=True)
        ]

    def _chosen(self, way: _Way) -> Painter:
        from noisette.comparison.choice import chosen

        sampler = self._painter.sampler
        if way.sampler is not None:
            (sampler,) = chosen([way.sampler])
        wished = {"steps": way.steps, "guidance": way.guidance}
        given = {key: value for key, value in wished.items() if value is not None}
        options = {**sampler.model_dump(exclude_unset=True), **given, "name": sampler.name}
        return self._painter.with_sampler(options, seed=way.seed)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what is missing."""
    return {key: value for key, value in row.items() if value is not None and value == value}


def _checked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with whole numbers where they belong.

    Raises:
        MlflowException: if there are no rows or too many, or a number is not what its column holds.
    """
    if not 0 < len(rows) <= _MOST_ROWS:
        raise _refusal(f"expected 1 to {_MOST_ROWS} rows; got {len(rows)}")
    for number, row in enumerate(rows):
        for key in {"index", "seed", "steps"} & row.keys():
            value = row[key]
            if not isinstance(value, int | float) or value != value // 1 or not 0 <= value <= _LARGEST:
                raise _refusal(f"row {number}: {key}: expected a whole number from 0 to 2^53; got {value!r}")
            row[key] = int(value)
        if abs(row.get("guidance", 0.0)) > _MOST_GUIDANCE:
            raise _refusal(f"row {number}: guidance: expected at most {_MOST_GUIDANCE:g}; got {row['guidance']}")
    return rows


def _refusal(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


def _way(row: dict[str, Any]) -> _Way:
    return _Way(row.get("sampler"), row.get("steps"), row.get("guidance"), row.get("seed"), "label" in row)


def _png(picture: NDArray[np.uint8]) -> str:
    from noisette.figures import to_image

    file = io.BytesIO()
    to_image(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


# whole numbers come as they are: MLflow would cut 1.5 to 1, and 2^63 to -2^63, before they are seen
_AS_IT_IS = AnyType()  # type: ignore[no-untyped-call]

ASKED = Schema(
    [
        ColSpec(_AS_IT_IS, "index", required=False),
        ColSpec(_AS_IT_IS, "seed", required=False),
        ColSpec(DataType.string, "label", required=False),
        ColSpec(DataType.string, "sampler", required=False),
        ColSpec(_AS_IT_IS, "steps", required=False),
        ColSpec(DataType.double, "guidance", required=False),
    ]
)
GIVEN = Schema(
    [ColSpec(DataType.long, "index"), ColSpec(DataType.string, "label"), ColSpec(DataType.string, "png")]
)

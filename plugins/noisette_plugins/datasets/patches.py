"""Patches of the photographs included in Python packages."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field, PositiveInt, field_validator

from noisette import DataError, Dataset, Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette import Split

__all__ = ["Patches"]


class _Place(NamedTuple):
    package: str
    file: str
    install: str


_PLACES = {
    "astronaut": _Place("skimage", "data/astronaut.png", "scikit-image"),
    "cat": _Place("skimage", "data/chelsea.png", "scikit-image"),
    "coffee": _Place("skimage", "data/coffee.png", "scikit-image"),
    "galaxies": _Place("skimage", "data/hubble_deep_field.jpg", "scikit-image"),
    "tissue": _Place("skimage", "data/ihc.png", "scikit-image"),
    "motorcycle": _Place("skimage", "data/motorcycle_left.png", "scikit-image"),
    "retina": _Place("skimage", "data/retina.jpg", "scikit-image"),
    "rocket": _Place("skimage", "data/rocket.jpg", "scikit-image"),
    "admiral": _Place("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "matplotlib"),
    "pagoda": _Place("sklearn", "datasets/images/china.jpg", "scikit-learn"),
    "flower": _Place("sklearn", "datasets/images/flower.jpg", "scikit-learn"),
}

Photograph = Literal[
    "astronaut",
    "cat",
    "coffee",
    "galaxies",
    "tissue",
    "motorcycle",
    "retina",
    "rocket",
    "admiral",
    "pagoda",
    "flower",
]

_EVERY = 10


class Patches(Dataset):
    """5,015 patches of eleven photographs, RGB, 32x32, without overlap: a tenth held out; no download.

    The class is the photograph. Eight of them need scikit-image. Held-out patches lie between the training patches
    in the same photographs: they show whether textures are reproduced, not whether images are copied.
    """

    name: ClassVar[str] = "patches"
    licence: ClassVar[str] = "public domain or CC0; pagoda and flower CC BY 2.0"
    source: ClassVar[str] = (
        "NASA, SpaceX, US Navy, Middlebury Stereo and the contributors of scikit-image, matplotlib and "
        "scikit-learn; pagoda by danielbuechele, flower by vultilion"
    )

    photographs: tuple[Photograph, ...] = Field(
        get_args(Photograph), min_length=1, description="which of them; the last three need no scikit-image"
    )
    size: PositiveInt = Field(32, le=256, description="height and width in pixels")

    @field_validator("photographs")
    @classmethod
    def _require_distinct(cls, photographs: tuple[Photograph, ...]) -> tuple[Photograph, ...]:
        if len(set(photographs)) < len(photographs):
            raise ValueError(f"expected each photograph once; got {', '.join(photographs)}")
        return photographs

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the patches of a split, with photographs interleaved. A tenth of each photograph is held out.

        Held-out patches that also occur in the training split, such as plain sky, are omitted.
        """
        import numpy as np
        from PIL import Image

        from noisette_plugins.datasets._common import stratified_split

        patches = [self._patches(name) for name in self.photographs]
        labels = np.repeat(np.arange(len(patches)), [len(group) for group in patches])
        images = np.concatenate(patches)
        train, test = stratified_split(labels, len(labels) // _EVERY)
        if split == "test":
            known = {images[index].tobytes() for index in train}
            test = np.array([index for index in test if images[index].tobytes() not in known], dtype=np.int64)
        for index in train if split == "train" else test:
            name = self.photographs[labels[index]]
            yield Example(Image.fromarray(images[index]), int(labels[index]), f"{name}, patch {index}")

    def classes(self) -> tuple[str, ...]:
        """Return the names of the photographs."""
        return tuple(self.photographs)

    def fingerprint(self) -> str:
        """Return a hash of the files, which may differ between versions of the packages."""
        from hashlib import blake2b

        state = blake2b(digest_size=16)
        for name in self.photographs:
            path = _find_photograph(_PLACES[name])
            state.update(b"" if path is None else path.read_bytes())
        return state.hexdigest()

    def _patches(self, name: str) -> NDArray[np.uint8]:
        """Return the disjoint patches of a photograph, uint8 (N, size, size, 3). Partial ones are omitted."""
        import numpy as np
        from PIL import Image

        place, side = _PLACES[name], self.size
        path = _find_photograph(place)
        if path is None:
            raise DataError(
                f"{self.name}: expected the photograph {name} at {place.package}/{place.file}; there is none: "
                f"install {place.install}, or leave it out: dataset.photographs=[admiral, pagoda, flower] needs "
                "nothing more"
            )
        with Image.open(path) as photograph:
            pixels = np.asarray(photograph.convert("RGB"))
        rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
        if not rows or not columns:
            raise DataError(f"{path}: is smaller than a patch, dataset.size={side}")
        grid = pixels[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
        return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, side, side, 3))


def _find_photograph(place: _Place) -> Path | None:
    """Return the path of a file in an installed package, without importing the package."""
    spec = find_spec(place.package)
    folders = spec.submodule_search_locations if spec else None
    paths = (Path(folder) / place.file for folder in folders or ())
    return next((path for path in paths if path.is_file()), None)

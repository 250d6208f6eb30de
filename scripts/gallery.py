"""Make docs/gallery.md: run the experiments that need neither a GPU nor a download, and show their images.

    make gallery                            trains missing models; hours on two cores
    make gallery ARGS="--output elsewhere"  the folder of results; runs by default

Finished stages are skipped, so a second call only writes the page again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from PIL import Image

from noisette import Experiment, Report
from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.images import choose_grid_columns, make_grid
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette.machine import processor_name
from noisette.sampling import Samples
from noisette.stages import plan_stages
from noisette_flows.display.table import markdown

HERE = Path(__file__).parent.parent
PAGE = HERE / "docs" / "gallery.md"
IMAGES = HERE / "docs" / "images" / "gallery"
COMMAND = str(Path(sys.executable).with_name("noisette"))

SHOWN = {
    "glyphs": (
        "Emoji",
        "Faces, hearts, clocks and signs are complete; objects with more parts are not. The set has one image of "
        "each kind, 1,283 in all, and each is seen about 450 times. None of the samples is a copy: `noisette "
        "evaluate configs/glyphs.yaml --set 'evaluation.metrics=[nearest]'` finds them as far from the training "
        "set as held-out images.",
    ),
    "patches": (
        "Patches of photographs",
        "Each column has the colours and texture of its photograph. Details that occur once (a star of the flag, "
        "an epaulette) are not learned. Photographs are sampled in equal shares, unlike in the data, which adds to "
        "the distance.",
    ),
    "mnist-5k": ("Digits of MNIST", "Nearly all are recognisable as their class."),
    "fashion-mnist": (
        "Clothes",
        "Nearly all look like clothes at first sight; prints are patchy, and a few are unrecognisable.",
    ),
    "digits": ("Small digits", "The demo of the README."),
}
"""Config name of each experiment: its heading on the page, and remarks by a person who looked at the images."""

_CELL, _COLUMNS = 64, 12


@dataclass(frozen=True)
class FinishedRun:
    """An experiment that has run to its end.

    Attributes:
        checkpoint: the last one of its training.
        samples: of every sampler.
    """

    name: str
    experiment: Experiment
    checkpoint: Checkpoint
    samples: list[Samples]
    report: Report

    @classmethod
    def run(cls, name: str, root: Path) -> FinishedRun:
        """Run `configs/<name>.yaml`, as far as it has not run yet."""
        config = HERE / "configs" / f"{name}.yaml"
        subprocess.run([COMMAND, "run", str(config), "--output", str(root)], cwd=HERE, check=True)
        experiment = Experiment.load(config)
        checkpoint = find_finished_checkpoint(training_directory(experiment, root), experiment.training.steps)
        at = {stage.name: stage.directory for stage in plan_stages(experiment, root)}
        samples = [at[f"sample {sampler.label}"] for sampler in experiment.sampling.samplers]
        if checkpoint is None or at["evaluate"] is None:
            sys.exit(f"{config}: has not run to its end")
        opened = [Samples.open(directory) for directory in samples if directory is not None]
        return cls(name, experiment, checkpoint, opened, Report.open(at["evaluate"]))

    @property
    def best(self) -> Samples:
        """The samples that are nearest by the first column of the table."""
        column = self.report.columns[0]
        distances = {row.label: row.results[column].value for row in self.report.rows if column in row.results}
        return min(self.samples, key=lambda samples: distances[samples.label])

    @property
    def columns(self) -> int:
        """Images in a row of the grid: one of each class, where it knows classes."""
        classes = len(self.checkpoint.about["classes"]) if self.experiment.training.class_conditional else 0
        return choose_grid_columns(classes) if classes else 16

    def minutes(self) -> float:
        """Return how long the training took: seconds a step, from the journal, times steps."""
        training = self.experiment.training
        entries = read_journal(self.checkpoint.directory.parents[1])
        rates = [entry["metrics"]["images_per_second"] for entry in entries if entry["stage"] == "train"]
        return float(np.mean(training.batch_size / np.array(rates))) * training.steps / 60


def main() -> None:
    """Run the experiments; write the page, its images, and the strip of the README."""
    arguments = sys.argv[1:]
    root = HERE / (arguments[arguments.index("--output") + 1] if "--output" in arguments else "runs")
    IMAGES.mkdir(parents=True, exist_ok=True)
    shown = [FinishedRun.run(name, root) for name in SHOWN]
    sections = [_section(one, root) for one in shown]
    _composite(shown).save(IMAGES / "strip.webp", lossless=True)
    PAGE.write_text("\n".join([_head(), *sections]), encoding="utf-8")
    size = sum(path.stat().st_size for path in IMAGES.iterdir())
    print(f"{PAGE}, and {size / 2**20:.2f} MB of images in {IMAGES}")


def _head() -> str:
    trained = (
        "Images from the configs that need neither a GPU nor a download (clothes and emoji are Debian packages). "
        f"Each model was trained on one core of {processor_name()}, {os.cpu_count()} cores. Other work shared the "
        "machine unevenly, so all times are longer than on an idle machine and are not comparable between "
        "sections. A training time is the mean time of a step in the journal times the number of steps. `make "
        "gallery` trains missing models and writes this page."
    )
    shown = (
        "The images are the first ones generated, not selected, by the sampler with the smallest Fréchet "
        "distance. In the strips, the upper row is x_t on its way from noise, and the lower row the predicted x_0."
    )
    return f"# Gallery\n\n{fill(trained, 116)}\n\n{fill(shown, 116)}\n"


def _section(shown: FinishedRun, root: Path) -> str:
    """Write the images of an experiment; return its part of the page."""
    best, name, (heading, remark) = shown.best, shown.name, SHOWN[shown.name]
    images = make_grid(best.images[: 5 * shown.columns], shown.columns, 640)
    images.save(IMAGES / f"{name}.webp", lossless=True)
    _strip(shown, root).save(IMAGES / f"{name}-denoising.webp", lossless=True)
    labelled = shown.experiment.training.class_conditional
    classes = f", one column per class ({', '.join(shown.checkpoint.about['classes'])})" if labelled else ""
    return f"""## {heading}

{fill(_facts(shown), 116, break_on_hyphens=False)}

![{heading} generated by {best.label}](images/gallery/{name}.webp)

{fill(f"By `{best.label}`{classes}. {remark}", 116, break_on_hyphens=False)}

![{heading} on their way from noise](images/gallery/{name}-denoising.webp)

{markdown(shown.report)}"""


def _facts(shown: FinishedRun) -> str:
    """Return what was trained, how long, on what."""
    training, dataset = shown.experiment.training, shown.experiment.dataset
    _, height, width = shown.checkpoint.about["shape"]
    return (
        f"[configs/{shown.name}.yaml](../configs/{shown.name}.yaml): {height}x{width} pixels, "
        f"{shown.checkpoint.about['parameters']:,} weights, {training.steps:,} steps of {training.batch_size} "
        f"images in {shown.minutes():.0f} minutes. Data: {dataset.source}; {dataset.licence}."
    )


def _strip(shown: FinishedRun, root: Path) -> Image.Image:
    """Return the strip of two trajectories, as `noisette figure denoise` makes it."""
    config = HERE / "configs" / f"{shown.name}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        command = [COMMAND, "figure", "denoise", str(config), "--output", str(root), "--to", folder]
        subprocess.run([*command, "--num-images", "2", "--sampler", "ddim"], cwd=HERE, check=True)
        with Image.open(next(Path(folder).glob("*.png"))) as strip:
            return strip.copy()


def _composite(shown: Sequence[FinishedRun]) -> Image.Image:
    """Return a row of each experiment's best sampler, every image enlarged by a whole factor."""
    rows = [np.stack([_cell(image) for image in one.best.images[:_COLUMNS]]) for one in shown]
    return make_grid(np.concatenate(rows), _COLUMNS, _COLUMNS * (_CELL + 2))


def _cell(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) as RGB in the middle of a cell, (3, 64, 64)."""
    factor = max(_CELL // image.shape[-1], 1)
    large = np.broadcast_to(image.repeat(factor, 1).repeat(factor, 2), (3, *(factor * n for n in image.shape[1:])))
    rest = [_CELL - side for side in large.shape[1:]]
    return np.pad(large, [(0, 0), *((side // 2, side - side // 2) for side in rest)])


if __name__ == "__main__":
    main()

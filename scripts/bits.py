"""Hashes of what every shipped config computes, scaled down: a refactoring changes none of them.

    python scripts/bits.py before.json                  write them
    python scripts/bits.py after.json --same before.json    write them, and compare; exit 1 if any differs

Data, weights after some steps, images of every sampler, figures, and every number of the report. Bits depend on the
processor and on torch, so both files are to be made on one machine. Names of files, keys and tensors do not count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

HERE = Path(__file__).parent.parent
sys.path[:0] = [str(HERE / "tests")]

import test_configs  # noqa: E402
from support.dataset_files import accept_small_datasets  # noqa: E402
from support.pipelines import write_pipeline  # noqa: E402

from noisette import Experiment, evaluate, prepare, registry, sample, train  # noqa: E402
from noisette.config import FiguresConfig, load  # noqa: E402
from noisette.figures import make_figure  # noqa: E402

WITHOUT_DOWNLOAD = ("digits", "mnist-5k", "fashion-mnist", "patches", "glyphs")


def main() -> int:
    """Compute everything; return whether it differs from what it is to be the same as."""
    options = _options()
    bits: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, accept_small_datasets(Path(folder)) as files:
        files["pipeline"] = str(write_pipeline(Path(folder) / "ldm-text2im-large-256"))
        torch.set_num_threads(1)
        for name in options.only or [*test_configs.SCALED, *WITHOUT_DOWNLOAD]:
            print(name, flush=True)
            found = _bits(_scaled(name, files), Path(folder) / "runs")
            bits |= {f"{name}/{part}": value for part, value in found.items()}
    options.to.write_text(json.dumps(bits, indent=1) + "\n", encoding="utf-8")
    if options.same is None:
        return 0
    before: dict[str, str] = json.loads(options.same.read_text(encoding="utf-8"))
    differing = [part for part in before.keys() | bits.keys() if before.get(part) != bits.get(part)]
    for part in sorted(differing):
        print(f"{part}: {before.get(part, 'was not there')} is now {bits.get(part, 'not there')}")
    print(f"{len(bits)} parts, {len(differing)} differ")
    return 1 if differing else 0


def _scaled(name: str, files: dict[str, str]) -> Experiment | FiguresConfig:
    if name in test_configs.SCALED:
        return test_configs.scaled(name, files)
    return load(HERE / "configs" / f"{name}.yaml", {**test_configs.SMALL, **test_configs.DDIM})


def _bits(config: Experiment | FiguresConfig, root: Path) -> dict[str, str]:
    """Return the hash of each thing that a config makes."""
    if not isinstance(config, Experiment):
        return _figures([make_figure(config, figure, root) for figure in config.figures])
    data = prepare(config, root)
    checkpoint = train(config, root)
    everything = Experiment.parse({**config.options(), "sampling": _with_all_samplers(config)})
    samples = [sample(everything, checkpoint, sampler, root) for sampler in everything.sampling.samplers]
    report = evaluate(everything, samples, root)
    shown = [make_figure(config, figure, root, checkpoint=checkpoint) for figure in config.figures]
    return {
        "data": _hash(data.images(split) for split in ("train", "test")),
        **{path.stem: _weights(path) for path in sorted(checkpoint.directory.glob("*.safetensors"))},
        **{f"samples {one.label}": _hash([one.images]) for one in samples},
        **{f"report {row.label}": _numbers(row.results) for row in report.rows},
        **_figures(shown),
    }


def _with_all_samplers(config: Experiment) -> dict[str, Any]:
    own = config.options()["sampling"]
    labels = {sampler.label for sampler in config.sampling.samplers}
    others = Experiment.parse({"name": "all", "dataset": "digits", "sampling": {"samplers": _all()}})
    more = [sampler.options() for sampler in others.sampling.samplers if sampler.label not in labels]
    return {**own, "samplers": [*own["samplers"], *more]}


def _all() -> list[dict[str, Any]]:
    return [{"name": name, "steps": 4} for name in registry().names("sampler")]


def _weights(path: Path) -> str:
    """Hash the tensors of a file, whatever they are called."""
    return _combine(sorted(_hash([tensor]) for tensor in load_file(path).values()))


def _numbers(results: dict[str, Any]) -> str:
    return " ".join(sorted(repr((one.value, one.stderr)) for one in results.values()))


def _figures(shown: Iterable[Any]) -> dict[str, str]:
    files = [path for one in shown for path in one.files]
    return {f"figure {number} {path.suffix}": _hash(_frames(path)) for number, path in enumerate(files)}


def _frames(path: Path) -> Iterable[Any]:
    with Image.open(path) as image:
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            yield np.asarray(image.convert("RGB"))


def _hash(arrays: Iterable[Any]) -> str:
    return _combine(hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays)


def _combine(hashes: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path, help="JSON file for the hashes")
    parser.add_argument("--same", type=Path, help="file of hashes that these are compared with")
    parser.add_argument("--only", nargs="+", help="configs, without .yaml; all by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

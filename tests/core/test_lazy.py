"""What a person sees who looks at the package in a Python prompt."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from support.tiny import tiny

import noisette
from noisette import Prepared, sample, train
from noisette.layout import data_directory


@pytest.mark.parametrize("name", ["noisette", "noisette.diffusion", "noisette.evaluation", "noisette.testing"])
def test_dir_lists_every_public_name(name: str) -> None:
    module = __import__(name, fromlist=["__all__"])
    assert set(module.__all__) <= set(dir(module))
    assert all(hasattr(module, listed) for listed in dir(module))


def test_the_version_is_that_of_the_installed_package() -> None:
    assert noisette.__version__ == version("noisette")
    assert "__version__" in dir(noisette)


def test_the_repr_of_a_result_says_where_it_is_and_not_its_manifest(root: Path) -> None:
    prepared = Prepared.finished(data_directory(tiny(), root))
    assert prepared is not None
    checkpoint = train(tiny(), root)
    samples = sample(tiny(), checkpoint, tiny().sampling.samplers[0], root)
    for result in (prepared, checkpoint, samples):
        assert repr(result) == f"{type(result).__name__}(directory={result.directory!r})"


@pytest.mark.parametrize(("own", "effective"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(own: dict[str, str], effective: str) -> None:
    show = "import os, noisette; print(os.environ['OMP_WAIT_POLICY'])"
    surroundings = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | own
    done = subprocess.run(
        [sys.executable, "-c", show], env=surroundings, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == effective

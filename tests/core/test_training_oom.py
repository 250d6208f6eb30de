from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import tiny, write_prepared

from noisette import DataError, train
from noisette.training.oom import explain_out_of_memory

TOO_LARGE = (
    "{name: unet, channels: 1000000000, groups: 1}",
    "{name: dit, expansion: 1.0e+38}",
    "{name: linear-attention-unet, heads: 4000000000000}",
)


@pytest.mark.parametrize("backbone", TOO_LARGE)
def test_a_network_beyond_any_memory_is_one_message(tmp_path: Path, backbone: str) -> None:
    experiment = tiny(f"backbone={backbone}")
    write_prepared(tmp_path, experiment)
    with pytest.raises(DataError, match="does not fit into memory: choose a smaller backbone"):
        train(experiment, tmp_path)


def test_errors_about_something_else_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), explain_out_of_memory("the network"):
        raise RuntimeError("shapes differ")

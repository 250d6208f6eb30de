"""A growing .npy file is, byte for byte, what numpy writes when it knows everything in advance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noisette.data.npy import NpyWriter


@pytest.mark.parametrize("count", [0, 1, 9, 10, 1234])
@pytest.mark.parametrize(("dtype", "shape"), [(np.uint8, (3, 4, 5)), (np.int64, ()), (np.float32, (2,))])
def test_equals_what_numpy_writes(tmp_path: Path, count: int, dtype: type, shape: tuple[int, ...]):
    rows = np.random.default_rng(0).integers(0, 200, (count, *shape)).astype(dtype)
    with NpyWriter(tmp_path / "grown.npy", dtype, shape) as array:
        for row in rows:
            array.append(np.asarray(row))
    np.save(tmp_path / "known.npy", rows)
    assert (tmp_path / "grown.npy").read_bytes() == (tmp_path / "known.npy").read_bytes()
    assert np.load(tmp_path / "grown.npy", allow_pickle=False).shape == rows.shape


def test_the_header_has_room_for_any_length(tmp_path: Path):
    path = tmp_path / "a.npy"
    with NpyWriter(path, np.uint8, (1,)) as array:
        array.append(np.array([7], dtype=np.uint8))
        array.count = 10**18  # what the header would say; the data is not read
    assert path.stat().st_size % 64 == 1
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        assert np.lib.format.read_array_header_1_0(file)[0] == (10**18, 1)
        assert file.read() == b"\x07"


@pytest.mark.parametrize("row", [np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.int16)])
def test_a_row_of_another_kind_is_refused(tmp_path: Path, row: np.ndarray):
    with (
        NpyWriter(tmp_path / "a.npy", np.uint8, (3, 2)) as array,
        pytest.raises(ValueError, match="expected uint8"),
    ):
        array.append(row)


def test_after_an_error_the_file_claims_no_rows(tmp_path: Path):
    with pytest.raises(RuntimeError), NpyWriter(tmp_path / "a.npy", np.uint8, (2,)) as array:
        array.append(np.zeros(2, np.uint8))
        raise RuntimeError
    assert np.load(tmp_path / "a.npy", allow_pickle=False).shape == (0, 2)

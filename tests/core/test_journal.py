from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from noisette import Events, Run
from noisette.journal import JOURNAL, Journal, read_journal


def run_at(directory: Path, stage: str = "train", name: str = "x") -> Run:
    return Run(stage, name, directory, 10, {})  # type: ignore[arg-type]


def write(directory: Path, *steps: int, **metrics: float) -> None:
    journal = Journal(directory)
    for step in steps:
        journal.on_metrics(run_at(directory), step, metrics or {"loss": step / 10})


def steps(directory: Path) -> list[int]:
    return [entry["step"] for entry in read_journal(directory)]


def test_what_is_measured_is_a_line(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    lines = (tmp_path / JOURNAL).read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(entry["stage"], entry["name"], entry["step"]) for entry in entries] == [
        ("train", "x", 1),
        ("train", "x", 2),
    ]
    assert [entry["metrics"] for entry in entries] == [{"loss": 0.1}, {"loss": 0.2}]
    assert entries[0]["time"] <= entries[1]["time"]
    assert list(read_journal(tmp_path)) == entries


def test_a_directory_without_a_journal_has_no_entries(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path)) == []


def test_steps_that_are_measured_again_are_not_written_twice(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, 3)
    write(tmp_path, 2, 3, 4)
    assert steps(tmp_path) == [1, 2, 3, 4]


def test_other_metrics_stages_and_names_at_one_step_are_not_the_same(tmp_path: Path) -> None:
    write(tmp_path, 1, loss=1.0)
    write(tmp_path, 1, speed=2.0)
    journal = Journal(tmp_path)
    journal.on_metrics(run_at(tmp_path, stage="sample"), 1, {"loss": 1.0})
    journal.on_metrics(run_at(tmp_path, name="y"), 1, {"loss": 1.0})
    assert len(steps(tmp_path)) == 4


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_a_crash_cut_short_is_left_out_and_healed(tmp_path: Path, cut: int) -> None:
    write(tmp_path, 1, 2, 3)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    assert steps(tmp_path) == [1, 2]
    write(tmp_path, 3, 4)
    assert steps(tmp_path) == [1, 2, 3, 4]
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{", b"[]", b"17", b'{"step": 1}', b"\xff\xfe", b""])
def test_a_damaged_line_is_passed_over_with_a_warning(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 1, 2)
    path = tmp_path / JOURNAL
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage + b"\n" + second)
    with caplog.at_level(logging.WARNING):
        assert steps(tmp_path) == [1, 2]
    assert "line 2 is damaged" in caplog.text
    write(tmp_path, 2, 3)
    assert steps(tmp_path) == [1, 2, 3]


def test_a_journal_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for step in range(3):
        journal.on_metrics(run_at(tmp_path), step, {"loss": 0.0})
        assert steps(tmp_path) == list(range(step + 1))


def test_it_listens_and_takes_tensors_of_one_value(tmp_path: Path) -> None:
    Events([Journal(tmp_path)], installed=False).metrics(run_at(tmp_path), 1, {"loss": torch.tensor(0.5)})  # type: ignore[dict-item]
    assert [entry["metrics"] for entry in read_journal(tmp_path)] == [{"loss": 0.5}]

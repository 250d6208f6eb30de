from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from noisette import Estimate, Report
from noisette.evaluation import Row
from noisette.evaluation.report import caption, chart_columns, short_header
from noisette_flows.display.report import show_report
from noisette_flows.display.table import markdown

LITE = "efficientnet-lite0"
PROTOCOL: dict[str, Any] = {
    "features": LITE,
    "weights_sha256": "57934424" + "0" * 56,
    "precision": "fp32",
    "resize": "anti-aliased bicubic to 224x224",
    "dataset": "digits",
    "reference_split": "train",
    "reference_count": 1297,
    "heldout_split": "test",
    "heldout_count": 500,
    "generated_count": 500,
    "step": 3000,
    "ema": True,
    "seed": 0,
}
NAMES = ("frechet_" + LITE, "kid_" + LITE, "recognised", "classes_seen", "classifier_accuracy")


def row(kind: Any, label: str, steps: int | None, frechet: float, kid: float, seen: float) -> Row:
    recognised = Estimate(0.0 if kind == "noise" else 0.906, 0.013)
    values = (Estimate(frechet), Estimate(kid, 0.0012), recognised, Estimate(seen), Estimate(0.982, 0.006))
    return Row(kind, label, steps, steps, steps and steps / 2000, dict(zip(NAMES, values, strict=True)))


def report(*extra: Row, **protocol: Any) -> Report:
    rows = [
        row("floor", "held-out", None, 14.2189, -0.000921, 10.0),
        row("sampler", "ddim-25-guidance_scale=1.5", 25, 21.3871, 0.0062, 10.0),
        *extra,
        row("noise", "noise", None, 519.98, 1.272, 0.0),
    ]
    better = dict.fromkeys(NAMES, "higher") | dict.fromkeys(NAMES[:2], "lower")
    return Report(Path("evaluations/1"), rows, list(NAMES), better, PROTOCOL | protocol, {}, ["look out"])


def shown(some: Report, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_report(some, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_report_prints_as_plain_text_that_says_the_same() -> None:
    lines = str(report()).splitlines()
    header, floor, sampler, noise, *below = lines
    assert header.split("  ")[0] == "sampler"
    assert "Frechet ↓" in header
    assert [line.split("  ")[0] for line in (floor, sampler, noise)] == [
        "real, held out", "ddim-25-guidance_scale=1.5", "pure noise",
    ]  # fmt: skip
    assert "0.0062 ± 0.0012" in sampler
    assert header.index("Frechet ↓") + len("Frechet ↓") == sampler.index("21.39") + len("21.39")
    assert below == ["", *caption(report()), "note: look out"]


def test_the_repr_of_a_report_says_where_it_is() -> None:
    assert repr(report()) == f"Report(directory={Path('evaluations/1')!r})"


def test_the_table_fits_a_hundred_columns() -> None:
    lines = shown(report())
    assert max(map(len, lines)) <= 100
    assert not [line for line in lines if "…" in line]


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_number_is_ever_cut(width: int) -> None:
    long = row("sampler", "dpmpp-2m-sde-25-eta=0.5-guidance_scale=1.5", 25, 21.0, 0.01, 10.0)
    lines = shown(report(long), width)
    (line,) = [line for line in lines if line.startswith("dpmpp")]
    assert line.split() == [
        *("dpmpp-2m-sde-25-eta=0.5-guidance_scale=1.5", "25", "25", "0.0125", "21"),
        *("0.0100", "±", "0.0012", "0.906", "±", "0.013", "10"),
    ]


def test_floor_and_noise_stand_apart_under_their_own_names() -> None:
    lines = shown(report())
    floor = next(number for number, line in enumerate(lines) if line.startswith("real, held out"))
    noise = next(number for number, line in enumerate(lines) if line.startswith("pure noise"))
    assert not lines[floor + 1].strip()
    assert not lines[noise - 1].strip()
    assert lines[floor].split()[3] == "14.22"


def test_what_all_rows_share_is_told_once_beneath() -> None:
    lines = shown(report())
    assert "Classifier accuracy 0.982 ± 0.006" in lines
    assert not [line for line in lines[:4] if "Classifier" in line]


def test_the_protocol_and_the_notes_stand_beneath() -> None:
    text = " ".join(" ".join(shown(report())).split())
    assert f"Frechet and KID over {LITE} (sha256 57934424, fp32)" in text
    assert "resized by anti-aliased bicubic to 224x224" in text
    assert "500 images each against 1297 of digits train; held out: 500 of test" in text
    assert "generated at step 3000 with averaged weights, seed 0" in text
    assert "note: look out" in text
    assert "weights not averaged" in " ".join(caption(report(ema=False)))


def test_a_metric_is_called_fid_only_where_its_column_is() -> None:
    assert short_header("frechet_" + LITE, LITE) == "Frechet"
    assert short_header("kid_" + LITE, LITE) == "KID"
    assert short_header("fid", "inception") == "FID"
    assert short_header("frechet_other", LITE) == "Frechet other"


def test_markdown_has_a_line_for_each_row() -> None:
    lines = markdown(report()).splitlines()
    assert lines[0].startswith("| sampler | steps | calls | s per image | Frechet ↓ | KID ↓ |")
    assert {line.count("|") for line in lines[:5]} == {lines[0].count("|")}
    assert lines[3].startswith("| ddim-25-guidance_scale=1.5 | 25 | 25 | 0.0125 | 21.39 | 0.0062 ± 0.0012 |")
    assert lines[-1] == "- look out"


def test_charts_are_for_what_tells_runs_apart() -> None:
    assert chart_columns(report()) == set(NAMES[:3])


def test_what_was_found_of_the_model_stands_beneath_with_its_parts() -> None:
    found = {
        "bits_per_dim": Estimate(4.38, 0.1),
        "bits_per_dim_steps": Estimate(3.07, 0.1),
        "bits_per_dim_first": Estimate(1.316, 0.012),
        "held_out_loss": Estimate(0.2265, 0.003),
    }
    lines = caption(replace(report(), model=found))
    assert "the model's bits per dim 4.38 ± 0.10 (steps 3.07 ± 0.10, first 1.316 ± 0.012)" in lines
    assert "the model's held out loss 0.227 ± 0.003" in lines
    assert not [line for line in caption(report()) if "the model" in line]

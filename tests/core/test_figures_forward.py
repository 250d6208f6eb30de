from __future__ import annotations

from noisette.figures import default_schedules, label_schedules
from noisette_plugins.schedules import Cosine, Linear, Sigmoid


def test_every_schedule_that_needs_no_option_is_ready_under_its_name() -> None:
    rows = label_schedules(default_schedules())
    assert list(rows) == [schedule.name for schedule in rows.values()]
    assert {"linear", "cosine", "sigmoid", "zero-terminal"} <= set(rows)
    assert "given" not in rows  # needs betas


def test_rows_say_what_was_given_and_differs() -> None:
    assert list(label_schedules([Linear(), Linear(end=0.03), Sigmoid(tau=0.5), Cosine(s=Cosine().s)])) == [
        "linear",
        "linear end=0.03",
        "sigmoid tau=0.5",
        "cosine",
    ]

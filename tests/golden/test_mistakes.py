"""Mistakes that public implementations made, and where each is guarded against: none of these tests may go away."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

MISTAKES = {
    "schedule buffers averaged by the EMA": "core/test_training_parts.py::test_only_parameters_are_averaged",
    "noise added at the last step": "conformance/wrong/samplers.py::last-step-adds-no-noise",
    "the last jump of DDIM from t - T // N": "conformance/wrong/samplers.py::visits-the-listed-steps",
    "steps of training off by one": (
        "core/test_training_batches.py::test_all_steps_are_trained_the_first_and_the_last_too"
    ),
    "dropout left on while sampling": "conformance/wrong/backbones.py::deterministic-in-evaluation-mode",
    "FID with the feature network in training mode": "conformance/wrong/features.py::vectors-are-deterministic",
    "FID on floats that were not rounded": "core/test_sampling_engine.py::test_bytes_are_rounded_and_bounded",
    "FID from a shuffled or augmented loader": (
        "core/test_evaluation_compare.py::test_one_pass_shows_every_image_once_in_order"
    ),
    "FID on fewer images than reported": "core/test_evaluation_engine.py::test_the_protocol_says_how",
    "a clipped x0 with its old noise": "core/test_prediction.py::test_a_clipped_image_takes_its_noise_along",
    "zero terminal signal with predicted noise": "plugins/test_objectives.py::test_noise_alone_needs_a_signal",
    "interpolation that starts a step late": (
        "core/test_editing.py::test_the_start_is_noised_to_the_first_step_of_the_walk"
    ),
    "a resume that restarts data, noise or averaging": (
        "core/test_training_engine.py::test_a_resumed_run_ends_in_the_same_bits"
    ),
    "other images for another batch size": (
        "core/test_sampling_engine.py::test_a_image_does_not_depend_on_its_batch"
    ),
}
"""Each with its test, or the check of the kit that must catch it in a wrong plugin."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_has_its_guard(mistake: str) -> None:
    path, _, name = MISTAKES[mistake].partition("::")
    tree = ast.parse((TESTS / path).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert name in (functions if name.startswith("test_") else texts)

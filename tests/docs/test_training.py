"""The examples and options of docs/training.md are valid."""

from __future__ import annotations

import re

from support.environment import REPOSITORY

from noisette import Experiment
from noisette.config.yaml import parse_yaml

PAGE = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")


def test_every_example_is_a_config() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 5
    for example in examples:
        config = parse_yaml(example, "training.md")
        Experiment.parse({"name": "page", "dataset": "digits", **config})


def test_every_option_that_is_named_exists() -> None:
    known = Experiment.parse({"name": "page", "dataset": "digits"}).options()
    named = set(re.findall(r"\b(training|sampling)\.(\w+)", PAGE))
    assert len(named) >= 5
    for section, option in named:
        assert option in known[section], option

"""`noisette check` and `noisette schema`: what a config does, and the options of configs."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from noisette import Experiment, StorageError
from noisette.formatting import format_number
from noisette.layout import data_directory, run_directory
from noisette_flows.cli.options import AsJson, Config, Output, Set, parse_settings
from noisette_flows.cli.runner import FlowRequest
from noisette_flows.outcome import stage_json

if TYPE_CHECKING:
    from noisette.training.size import TrainingSize

__all__ = ["check", "schema"]


def check(config: Config, settings: Set = None, output: Output = "runs", json: AsJson = False) -> None:
    """Check a config and show every option, the size of the network, and the stages that `noisette run` runs.

    The output is a config with all defaults written out, and the rest as comments.
    """
    request = FlowRequest(config, parse_settings(settings), output)
    loaded = request.config
    stages = request.stages()
    done = [stage.name for stage in stages if stage.finished]
    facts: dict[str, Any] = {
        "directory": str(run_directory(loaded, Path(output))),
        "stages": [stage_json(stage, done) for stage in stages],
    }
    size = _size(loaded, Path(output)) if isinstance(loaded, Experiment) else None
    if json:
        numbers = {} if size is None else {"parameters": size.parameters, "state_bytes": size.state_bytes}
        print(jsonlib.dumps({"config": loaded.options(), **facts, **numbers}, indent=1))
        return
    print(yaml.safe_dump(loaded.options(), sort_keys=False, allow_unicode=True), end="")
    for line in (*_network_lines(loaded, size), *_stage_lines(facts)):
        print(f"# {line}")


def _size(experiment: Experiment, root: Path) -> TrainingSize | None:
    from noisette.training.size import measure_size

    return measure_size(experiment, data_directory(experiment, root))


def _network_lines(loaded: object, size: TrainingSize | None) -> Iterator[str]:
    if size is not None:
        state = format_number(size.state_bytes / 1e6, 3)
        yield f"network: {size.parameters:,} parameters"
        yield f"memory: {state} MB for weights, averages, gradients and optimizer, without a batch"
    elif isinstance(loaded, Experiment):
        yield "network: its size is known after noisette prepare"


def _stage_lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"results: {facts['directory']}"
    words = {"skipped": "finished, will be skipped", "open": "to do"}
    for stage in facts["stages"]:
        yield "  ".join(filter(None, [f"{stage['name']}: {words[stage['status']]}", stage["directory"]]))


def schema(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write. Default: standard output.", show_default=False),
    ] = None,
) -> None:
    """Print the JSON schema of configs, with the options of all installed plugins.

    Editors complete and check YAML files whose first line is `# yaml-language-server: $schema=FILE`.
    """
    from noisette.config.schema import config_schema

    text = jsonlib.dumps(config_schema(), indent=1, ensure_ascii=False)
    if output is None:
        print(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error.strerror or error}") from None
    print(f"{output}: for editors, start a config with\n# yaml-language-server: $schema={output}")

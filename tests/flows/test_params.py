"""What a form in Prefect's pages offers for the config of a flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate

from noisette_flows.deploying.serve import deployments


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for name in ("mnist", "digits"):
        (tmp_path / "configs" / f"{name}.yaml").touch()
    return tmp_path / "configs"


def schemas() -> list[dict[str, Any]]:
    """Return the schemas of the deployments that have a config, as Prefect's server is given them."""
    found = [deployment._parameter_openapi_schema.model_dump() for deployment in deployments()]
    return [schema for schema in found if "config" in schema["properties"]]


def test_the_form_offers_the_names_beside_any_path(configs: Path) -> None:
    assert len(schemas()) == 2
    for schema in schemas():
        field = schema["properties"]["config"]
        anything, listed = field["anyOf"]
        assert anything["type"] == listed["type"] == "string"
        assert "enum" not in anything
        assert listed["enum"] == ["digits", "mnist"]
        assert field["description"]
        assert schema["required"] == ["config"]


@pytest.mark.parametrize("config", ["digits", "elsewhere/mine.yaml", "made-later"])
def test_prefect_takes_whatever_is_a_text(configs: Path, config: str) -> None:
    for schema in schemas():
        assert validate({"config": config}, schema) == []


def test_control_prefect_refuses_what_is_none(configs: Path) -> None:
    for schema in schemas():
        assert validate({"config": 5}, schema)
        assert validate({}, schema)


def test_without_configs_it_is_a_plain_text(configs: Path) -> None:
    for path in configs.iterdir():
        path.unlink()
    for schema in schemas():
        field = schema["properties"]["config"]
        assert (field["type"], "anyOf" in field) == ("string", False)

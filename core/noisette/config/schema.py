"""The JSON schema of configs, with the options of all installed plugins, for completion and checks in editors.

Reading a config also checks what a schema cannot express, such as a sampler with more steps than timesteps. The
schema is stricter in one case: it rejects numbers in quotes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from noisette.config.experiment import Experiment
from noisette.config.figures_only import FiguresConfig
from noisette.contracts import KINDS, Plugin
from noisette.plugins import Registry, registry

__all__ = ["config_schema"]

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_GROUPED = {"type": "string", "pattern": "^[0-9]+(_[0-9]+)+$"}


class _Generator(GenerateJsonSchema):
    """Accepts 50_000 as an integer, which is a string in YAML 1.2; omits titles that repeat a key."""

    def int_schema(self, schema: Any) -> Schema:
        """Return the schema of an integer."""
        return {"anyOf": [super().int_schema(schema), _GROUPED]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False."""
        return False


def config_schema(plugins: Registry | None = None) -> Schema:
    """Return the JSON schema (draft 2020-12) of a config file.

    Args:
        plugins: the known plugins; by default the installed ones.
    """
    schema = Experiment.model_json_schema(schema_generator=_Generator)
    for kind, contract in KINDS.items():
        by_name = _plugins_by_name(kind, plugins or registry())
        definitions = {f"{kind}.{name}": _options_schema(kind, name, plugin) for name, plugin in by_name.items()}
        for definition in list(definitions.values()):
            definitions |= definition.pop("$defs", {})
        schema["$defs"] |= definitions | {
            contract.__name__: _plugin_schema(contract, by_name, plugins or registry())
        }
    schema |= {"required": [], "anyOf": [{"required": ["dataset"]}, _figures_only()]}  # a file has a name
    return {"$schema": _DIALECT, **schema, "title": "A noisette experiment"}


def _figures_only() -> Schema:
    """Return the schema of a config without a dataset."""
    return {
        "required": ["figures"],
        "properties": {"figures": {"minItems": 1}},
        "propertyNames": {"enum": list(FiguresConfig.model_fields)},
    }


def _plugins_by_name(kind: str, plugins: Registry) -> dict[str, type[Plugin]]:
    """Return the plugins of a kind by their shortest unambiguous name."""
    by_name = {}
    for found in plugins.of_kind(kind):
        name = found.plugin.name
        same = {other.plugin for other in plugins.of_kind(kind) if other.plugin.name == name}
        by_name[name if len(same) == 1 else f"{found.origin.distribution}:{name}"] = found.plugin
    return by_name


def _plugin_schema(contract: type[Plugin], by_name: dict[str, type[Plugin]], plugins: Registry) -> Schema:
    """Return the schema of a plugin in a config: its name, or a mapping with its options."""
    everything = {f"{f.origin.distribution}:{f.plugin.name}": f.plugin for f in plugins.of_kind(contract.kind)}
    qualified = {name: plugin for name, plugin in everything.items() if name not in by_name}
    return {
        "description": (inspect.getdoc(contract) or "").partition("\n")[0],
        "anyOf": [
            {"type": "string", "enum": _without_required(by_name)},
            *({"$ref": f"#/$defs/{contract.kind}.{name}"} for name in by_name),
            {"type": "string", "pattern": _name_pattern(_without_required(qualified))},
            {"type": "object", "properties": {"name": {"pattern": _name_pattern(qualified)}}, "required": ["name"]},
        ],
    }


def _without_required(by_name: dict[str, type[Plugin]]) -> list[str]:
    """Return the names of the plugins without required options."""
    fields = {name: plugin.model_fields.values() for name, plugin in by_name.items()}
    return [name for name in by_name if not any(field.is_required() for field in fields[name])]


def _name_pattern(names: Iterable[str]) -> str:
    """Return a pattern that matches these names; their only special character is the dot."""
    return f"^({'|'.join(name.replace('.', '[.]') for name in names)})$"


def _options_schema(kind: str, name: str, plugin: type[Plugin]) -> Schema:
    """Return the schema of a mapping with a plugin's name and options."""
    try:
        schema = plugin.model_json_schema(ref_template="{model}", schema_generator=_Generator)
    except PydanticUserError as error:
        schema = {"description": f"its options have no JSON schema: {error.message}"}
    contracts = {contract.__name__ for contract in KINDS.values()}
    locations = {
        model: model if model in contracts else f"{kind}.{name}.{model}" for model in schema.get("$defs", {})
    }
    inner = {locations[model]: part for model, part in schema.pop("$defs", {}).items() if model not in contracts}
    options = {
        "title": f"{kind} {name}",
        "description": schema.get("description", ""),
        "type": "object",
        "properties": {"name": {"const": name}, **schema.get("properties", {})},
        "required": ["name", *schema.get("required", ())],
        "additionalProperties": schema.get("additionalProperties", True),
        "$defs": inner,
    }
    relocated: Schema = _relocate_refs(options, locations)
    return relocated


def _relocate_refs(schema: Any, locations: Mapping[str, str]) -> Any:
    """Return a schema with its references updated to new locations."""
    if isinstance(schema, dict):
        relocated = {"$ref": f"#/$defs/{locations[schema['$ref']]}"} if schema.get("$ref") in locations else {}
        return {key: _relocate_refs(value, locations) for key, value in schema.items()} | relocated
    return [_relocate_refs(value, locations) for value in schema] if isinstance(schema, list) else schema

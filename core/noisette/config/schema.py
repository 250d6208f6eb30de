"""The JSON schema of configs, with the options of every installed plugin: what editors complete and check by.

Reading a config finds more than a schema can say, such as a walk of more steps than were trained. In one thing the
schema is stricter: a number in quotes is no number.
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
    """Takes 50_000 as a whole number, which is text to readers of YAML 1.2; leaves out titles that repeat a key."""

    def int_schema(self, schema: Any) -> Schema:
        """Return the schema of a whole number."""
        return {"anyOf": [super().int_schema(schema), _GROUPED]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Set none."""
        return False


def config_schema(plugins: Registry | None = None) -> Schema:
    """Return the JSON schema (draft 2020-12) of a config file.

    Args:
        plugins: the plugins that a config may name; those that are installed, if not given.
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
    """Return what a config without a data set may say: images that need no training."""
    return {
        "required": ["figures"],
        "properties": {"figures": {"minItems": 1}},
        "propertyNames": {"enum": list(FiguresConfig.model_fields)},
    }


def _plugins_by_name(kind: str, plugins: Registry) -> dict[str, type[Plugin]]:
    """Return the plugins of a kind by the shortest name that a config may use."""
    by_name = {}
    for found in plugins.of_kind(kind):
        name = found.plugin.name
        same = {other.plugin for other in plugins.of_kind(kind) if other.plugin.name == name}
        by_name[name if len(same) == 1 else f"{found.origin.distribution}:{name}"] = found.plugin
    return by_name


def _plugin_schema(contract: type[Plugin], by_name: dict[str, type[Plugin]], plugins: Registry) -> Schema:
    """Return the schema of a place where a config names a plugin: the name alone, or a mapping of its options."""
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
    """Return the names of the plugins that need no option."""
    fields = {name: plugin.model_fields.values() for name, plugin in by_name.items()}
    return [name for name in by_name if not any(field.is_required() for field in fields[name])]


def _name_pattern(names: Iterable[str]) -> str:
    """Return a pattern of these names, whose only special character is the dot."""
    return f"^({'|'.join(name.replace('.', '[.]') for name in names)})$"


def _options_schema(kind: str, name: str, plugin: type[Plugin]) -> Schema:
    """Return the schema of the mapping that names a plugin with its options."""
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
    """Return a schema whose references lead to where its parts lie now."""
    if isinstance(schema, dict):
        relocated = {"$ref": f"#/$defs/{locations[schema['$ref']]}"} if schema.get("$ref") in locations else {}
        return {key: _relocate_refs(value, locations) for key, value in schema.items()} | relocated
    return [_relocate_refs(value, locations) for value in schema] if isinstance(schema, list) else schema

"""Checks for all kinds of plugins."""

from __future__ import annotations

import json
import sys

from pydantic import ValidationError

from noisette.contracts import Plugin
from noisette.plugins.discovery import find_fault
from noisette.testing.check import Skip, fail, require, skip_if
from noisette.testing.options import format_plugin, with_options
from noisette.testing.other_process import find_heavy_imports

_HEAVY = ("torch", "torchvision", "numpy", "scipy", "sklearn", "PIL", "transformers", "timm")

_KIT = "noisette.testing"


def check_is_a_plugin(plugin: Plugin) -> None:
    """Discovery accepts the class: kind, name and API version are valid, and no method is missing."""
    fault = find_fault(type(plugin))
    require(not fault, plugin, "class", "a plugin that discovery accepts", fault)


def check_has_descriptions(plugin: Plugin) -> None:
    """The class has a docstring and each option a description: `noisette plugins show` prints them."""
    require(bool(vars(type(plugin)).get("__doc__")), plugin, "docstring of the class", "one", "none")
    for key, field in type(plugin).model_fields.items():
        require(bool(field.description), plugin, f"option {key!r}", "Field(description=...)", "no description")


def check_options_round_trip(plugin: Plugin) -> None:
    """`options()` is JSON from which an equal plugin can be created, as checkpoints and configs store it."""
    options = plugin.options()
    try:
        stored = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        fail(plugin, "options()", "JSON values", error)
    stored.pop("name", None)
    again = type(plugin)(**stored)
    require(again == plugin, plugin, "plugin created from its own options", repr(plugin), repr(again))


def check_is_immutable(plugin: Plugin) -> None:
    """The plugin is hashable and immutable: options are tuples and frozen models, not lists or dictionaries."""
    try:
        hash(plugin)
    except TypeError as error:
        fail(plugin, "hash(plugin)", "a number", error)
    again = plugin.model_copy()
    require(again == plugin, plugin, "copy of the plugin", "an equal plugin", "a different one")


def check_rejects_unknown_options(plugin: Plugin) -> None:
    """Unknown options raise an error, so that a misspelt one is noticed, and options cannot be set afterwards."""
    for config in ("extra", "frozen"):
        expected, actual = Plugin.model_config.get(config), type(plugin).model_config.get(config)
        require(actual == expected, plugin, f"model_config[{config!r}]", repr(expected), repr(actual))
    try:
        with_options(plugin, no_such_option=1)
    except (ValidationError, TypeError):
        return
    fail(plugin, "an unknown option", "a ValidationError", "no error")


def check_imports_nothing_heavy(plugin: Plugin) -> None:
    """Importing the module does not import torch, NumPy, Pillow or similar, so that the command line stays fast.

    Runs in another process; skipped if the module cannot be imported there, or uses this kit itself.
    """
    module = type(plugin).__module__
    away = f"{format_plugin(plugin)}: module {module} cannot be imported by name"
    if module == "__main__":
        raise Skip(away)
    skip_if(
        any(str(getattr(used, "__module__", "")).startswith(_KIT) for used in vars(sys.modules[module]).values()),
        plugin,
        f"module {module} uses {_KIT} itself",
    )
    heavy, error = find_heavy_imports(module, _HEAVY)
    if error == f"ModuleNotFoundError: No module named {module.partition('.')[0]!r}":
        raise Skip(away)
    require(not error, plugin, f"import of {module}", "success", error)
    wanted = "none (import them inside the methods)"
    require(not heavy, plugin, f"heavy imports of {module}", wanted, ", ".join(heavy))

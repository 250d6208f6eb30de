"""The references of hooks and contracts match the code exactly."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.environment import REPOSITORY
from support.guide import blocks

from noisette import Events, Plugin, Run, registry
from noisette.contracts import KINDS
from noisette.hooks import HookSpecs
from noisette.testing import checks_for

HOOKS = (REPOSITORY / "docs" / "hooks.md").read_text()
PLUGINS = (REPOSITORY / "docs" / "plugins.md").read_text()
TESTS = [path for path in (REPOSITORY / "tests").rglob("*.py") if path != Path(__file__)]


def signatures(holder: type) -> dict[str, str]:
    """Return the public methods of a class with their arguments, as documented."""
    members = {name: getattr(member, "__func__", member) for name, member in vars(holder).items()}
    methods = {name: member for name, member in members.items() if inspect.isfunction(member)}
    return {
        name: ", ".join([*inspect.signature(method).parameters][1:])
        for name, method in methods.items()
        if not name.startswith("_")
    }


def sections(markdown: str) -> dict[str, str]:
    """Return the text under each heading of the second level."""
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", markdown, flags=re.M | re.S))


def documented_hooks(markdown: str) -> dict[str, str]:
    return dict(re.findall(r"^## `(\w+)\((.*)\)`$", markdown, flags=re.M))


def test_every_hook_is_documented_with_exactly_its_arguments() -> None:
    hooks = signatures(HookSpecs)
    assert len(hooks) == 8
    assert hooks["on_step"] == "run, step, metrics"
    assert documented_hooks(HOOKS) == hooks


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("## `on_step(run, step, metrics)`", "## `on_step(run, metrics, step)`"),
        ("## `on_step(run, step, metrics)`", "## `on_step(run, step)`"),
        ("## `on_checkpoint(run, step, path)`", "## on_checkpoint"),
        ("## `plugins()`", "## `plugin()`"),
    ],
)
def test_control_a_wrongly_documented_hook_is_detected(right: str, wrong: str) -> None:
    assert right in HOOKS
    assert documented_hooks(HOOKS.replace(right, wrong)) != signatures(HookSpecs)


@pytest.mark.parametrize("hook", sorted(signatures(HookSpecs)))
def test_every_hook_is_implemented_by_some_test(hook: str) -> None:
    implemented = re.compile(rf"@hookimpl\s+def {hook}\(")
    assert [path.name for path in TESTS if implemented.search(path.read_text())]


def test_the_attributes_of_a_run_are_documented() -> None:
    assert set(re.findall(r"^\| `run\.(\w+)` \|", HOOKS, flags=re.M)) == set(inspect.signature(Run).parameters)


def test_the_example_of_a_hook_is_valid() -> None:
    namespace: dict[str, Any] = {}
    (example,) = [block.text for block in blocks(HOOKS) if block.language == "python"]
    exec(example, namespace)
    listener = type("Listener", (), {"on_checkpoint": staticmethod(namespace["on_checkpoint"])})
    Events([listener], installed=False)  # refuses unknown arguments


def documented(text: str) -> Iterator[str]:
    """Yield the names documented by the items of a list: the code before the colon."""
    for item in re.findall(r"^- (`[^:]+`): ", text, flags=re.M):
        yield from re.findall(r"`([^`]+)`", item)


def members(contract: type[Plugin]) -> set[str]:
    """Return methods with arguments, properties, class attributes and options that a contract itself declares."""
    methods = {f"{name}({arguments})" for name, arguments in signatures(contract).items()}
    properties = {name for name, member in vars(contract).items() if isinstance(member, property)}
    return methods | properties | set(contract.__annotations__) - ({"kind"} if contract is not Plugin else set())


@pytest.mark.parametrize("kind", KINDS)
def test_every_contract_is_documented_with_exactly_its_members(kind: str) -> None:
    listed = list(documented(sections(PLUGINS)[kind]))
    assert len(listed) == len(set(listed))
    assert set(listed) == members(KINDS[kind])


def test_members_of_all_plugins_are_documented() -> None:
    assert set(documented(sections(PLUGINS)["All plugins"])) == members(Plugin)


def required(kind: str) -> set[str]:
    """Return the members that the reference marks as required."""
    items = re.split(r"^- ", sections(PLUGINS)[kind], flags=re.M)
    return {re.findall(r"\w+", item)[0] for item in items if item.rstrip().endswith("Required.")}


@pytest.mark.parametrize("kind", KINDS)
def test_required_members_are_marked(kind: str) -> None:
    contract = KINDS[kind]
    declared = {name for name in contract.__annotations__ if not hasattr(contract, name)} - set(
        contract.model_fields
    )
    required_by_the_kit = {"licence", "source"} if kind == "dataset" else set()
    assert required(kind) == contract.__abstractmethods__ | declared | required_by_the_kit


def test_the_example_of_the_kit_makes_a_test_for_each_check() -> None:
    heun = registry().find("sampler", "heun").plugin
    (example,) = [block.text for block in blocks(PLUGINS) if block.language == "python"]
    namespace: dict[str, Any] = {"Heun": heun}
    exec(example, namespace)
    (mark,) = namespace["test_conformance"].pytestmark
    checks = [check for check in checks_for(heun()) if not check.slow]
    assert len(mark.args[1]) == 2 * len(checks)
    assert [parameter.values[1].name for parameter in mark.args[1] if parameter.marks] == ["order", "order"]


def test_the_commands_of_the_reference_exist() -> None:
    from typer.main import get_command

    from noisette_flows.cli import app

    command = get_command(app)
    lines = [line.split("#")[0].split() for block in blocks(PLUGINS) for line in block.text.splitlines()]
    called = [line for line in lines if line[:1] == ["noisette"]]
    assert len(called) == 5
    for _, name, *rest in called:
        found = command.commands[name]  # type: ignore[attr-defined]
        if name == "plugins":
            assert rest[0] in found.commands

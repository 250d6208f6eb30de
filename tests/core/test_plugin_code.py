"""The hash of a plugin's code: what changes it, and what does not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from noisette import Sampler, registry
from noisette.plugins.code import _of_module, code_of, runtime_code

PACKAGE = {
    "__init__": "",
    "sampler": """
from typing import ClassVar
from pydantic import Field
from noisette import Sampler
from euler_kit.step import step

class Euler(Sampler):
    \"\"\"Euler.\"\"\"
    name: ClassVar[str] = "euler"
    churn: float = Field(0.0, description="how much")

    def trajectory(self, denoise, x, noise):
        from . import lazily
        yield step(x) + lazily.PART
""",
    "step": "from .constants import HALF\ndef step(x):\n    return x * HALF\n",
    "constants": "HALF = 0.5\n",
    "lazily": "import torch_of_nobody\nPART = 1\n",
    "other": "UNUSED = 1\n",
}


class Package:
    """A package on disk whose plugin is imported anew each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "euler_kit"
        self.folder.mkdir()
        for name, text in PACKAGE.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text)

    def code(self) -> str:
        forget()
        invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            return code_of(import_module("euler_kit.sampler").Euler)
        finally:
            sys.dont_write_bytecode = before


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "euler_kit"]:
        del sys.modules[name]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    yield Package(tmp_path)
    forget()


CHANGES = {
    "its own code": ("sampler", "step(x) +", "step(x) -"),
    "an option's default": ("sampler", "0.0", "0.1"),
    "a module that it imports": ("step", "x *", "x /"),
    "a module that this imports": ("constants", "0.5", "0.6"),
    "a module that a method imports": ("lazily", "PART = 1", "PART = 2"),
}


@pytest.mark.parametrize(("module", "old", "new"), CHANGES.values(), ids=CHANGES)
def test_code_that_runs_changes_it(package: Package, module: str, old: str, new: str) -> None:
    before = package.code()
    assert old in PACKAGE[module]
    package.write(module, PACKAGE[module].replace(old, new))
    assert package.code() != before
    package.write(module, PACKAGE[module])
    assert package.code() == before


NOTHING = {
    "a comment": ("step", "def step", "# half a step\ndef step"),
    "formatting": ("step", "x * HALF", "(x\n        * HALF)"),
    "a docstring": ("sampler", "Euler.", "Euler's method."),
    "a new docstring": ("step", "    return", "    'Half a step.'\n    return"),
    "its paper": ("sampler", "    churn:", '    paper: ClassVar[str] = "Euler 1768"\n    churn:'),
    "the description of an option": ("sampler", "how much", "how much noise"),
    "a module that nobody imports": ("other", "1", "2"),
}


@pytest.mark.parametrize(("module", "old", "new"), NOTHING.values(), ids=NOTHING)
def test_what_does_not_run_does_not_change_it(package: Package, module: str, old: str, new: str) -> None:
    before = package.code()
    assert old in PACKAGE[module]
    package.write(module, PACKAGE[module].replace(old, new))
    assert package.code() == before


def test_it_is_the_same_from_the_cache_without_it_and_from_an_archive(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = package.code()
    assert package.code() == before
    assert list((tmp_path / "cache" / "code").iterdir())
    monkeypatch.setenv("NOISETTE_CACHE", "/proc/nobody/may/write/here")
    assert package.code() == before
    with zipfile.ZipFile(tmp_path / "kit.zip", "w") as archive:
        for path in package.folder.glob("*.py"):
            archive.write(path, f"euler_kit/{path.name}")
    package.folder.rename(tmp_path / "gone")
    monkeypatch.syspath_prepend(tmp_path / "kit.zip")
    assert package.code() == before


def test_nothing_is_imported_for_it() -> None:
    script = """
import sys
from noisette.plugins import registry
from noisette.plugins.code import code_of
found = registry().found
before = set(sys.modules)
codes = [code_of(one.plugin) for one in found]
new = {name for name in set(sys.modules) - before if name.startswith(("noisette_plugins", "torch", "numpy"))}
assert not new and "torch" not in sys.modules, new
assert len(set(codes)) > 30
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_methods_that_decide_no_result_do_not_change_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path))
    modules = _of_module(registry().find("backbone", "unet").plugin)
    assert "noisette_plugins.backbones.unet_network" in modules
    assert not [name for name in modules if "exchange" in name or "schedules" in name]


def of_a_notebook(source: str) -> type[Sampler]:
    """Return the class `Walk` of a notebook: its module has no file."""
    module = ModuleType("a_notebook")
    vars(module).update(Sampler=Sampler, ClassVar=ClassVar)
    sys.modules[module.__name__] = module
    exec(source, vars(module))
    return vars(module)["Walk"]


NOTEBOOK = """
HALF = 0.5

def scaled(x):
    return x * HALF

class Walk(Sampler):
    name: ClassVar[str] = "walk"
    def trajectory(self, denoise, x, noise):
        yield scaled(x)
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("yield scaled(x)", "yield -scaled(x)", False),
        ("x * HALF", "x / HALF", False),
        ("HALF = 0.5", "HALF = 0.6", False),
        ("HALF = 0.5", "HALF = 0.5  # a half", True),
        ("return x", "'Half of it.'\n    return x", True),
        ("HALF = 0.5", "UNUSED = 7\nHALF = 0.5", True),
    ],
)
def test_a_class_of_a_notebook_is_what_it_runs(old: str, new: str, same: bool) -> None:
    assert old in NOTEBOOK
    before = code_of(of_a_notebook(NOTEBOOK))
    assert code_of(of_a_notebook(NOTEBOOK)) == before
    assert (code_of(of_a_notebook(NOTEBOOK.replace(old, new))) == before) is same


def test_a_list_of_a_class_that_fills_while_it_runs_is_no_other_code() -> None:
    class Recording:
        seen: list[int] = [1]  # noqa: RUF012

    before = runtime_code(Recording)
    Recording.seen.append(2)
    assert runtime_code(Recording) == before
    assert "Recording.seen=" in " ".join(before)

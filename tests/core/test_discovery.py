from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.packages import RALSTON, Site

from noisette import PluginError
from noisette.plugins.code import code_of

CLASS = RALSTON.partition("@hookimpl")[0]


def hook(body: str, arguments: str = "") -> str:
    return f"{CLASS}\n@hookimpl\ndef plugins({arguments}):\n    {body}\n"


BROKEN = {
    "import-error": ("from noisette import Nonsense", "ImportError: cannot import name 'Nonsense' from 'noisette'"),
    "syntax-error": ("def plugins(:", "SyntaxError: invalid syntax (acme_ralston.py, line 1)"),
    "missing-dependency": ("import quux_solvers", "ModuleNotFoundError: No module named 'quux_solvers'"),
    "raises-at-import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "exits-at-import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "panics-at-import": (
        "class PanicException(BaseException): ...\nraise PanicException('rust')",
        "PanicException: rust",
    ),
    "raising-hook": (hook("raise OSError('no disk')"), "OSError: no disk"),
    "misspelt-hook": (RALSTON.replace("def plugins", "def plugin"), "PluginValidationError: unknown hook 'plugin'"),
    "unmarked-hook": (RALSTON.replace("@hookimpl", ""), "has no function marked with @hookimpl"),
    "empty-module": ("", "has no function marked with @hookimpl"),
    "hook-with-arguments": (
        hook("yield Ralston", "registry"),
        "Argument(s) {'registry'} are declared in the hookimpl",
    ),
    "hook-returns-nothing": (hook("Ralston"), "its hook `plugins` returned None; expected it to yield classes"),
    "hook-returns-number": (hook("return 42"), "its hook `plugins` returned 42; expected it to yield classes"),
    "hook-returns-text": (hook("return 'Ralston'"), "its hook `plugins` returned 'Ralston'"),
    "hook-returns-class": (hook("return Ralston"), "its hook `plugins` returned <class 'acme_ralston.Ralston'>"),
    "generator-raises": (hook("yield Ralston; raise KeyError('late')"), "KeyError: 'late'"),
    "yields-instance": (hook("yield Ralston()"), "is not a plugin: expected a subclass of Schedule"),
    "yields-function": (hook("yield plugins"), "plugins is not a plugin: expected a subclass of Schedule"),
    "yields-stranger": (hook("yield dict"), "dict is not a plugin: expected a subclass of Schedule"),
    "yields-unprintable": (
        "class Odd:\n    def __repr__(self): raise RuntimeError('no face')\n" + hook("yield Odd()"),
        "RuntimeError: no face",
    ),
    "abstract": (RALSTON.replace("def trajectory", "def trajectry"), "Ralston: does not implement trajectory"),
    "no-name": (
        RALSTON.replace('name: ClassVar[str] = "ralston"', ""),
        "Ralston: has no class variable `name: ClassVar[str]`",
    ),
    "name-is-an-option": (
        RALSTON.replace('name: ClassVar[str] = "ralston"', 'name: str = "ralston"'),
        "Ralston: has no class variable `name: ClassVar[str]`",
    ),
    "shouting-name": (
        RALSTON.replace('"ralston"', '"Ralston 2"'),
        "Ralston: expected a name of lower-case letters",
    ),
    "travelling-name": (
        RALSTON.replace('"ralston"', '"../ralston"'),
        "Ralston: expected a name of lower-case letters",
    ),
    "name-with-colon": (
        RALSTON.replace('"ralston"', '"acme:ralston"'),
        "Ralston: expected a name of lower-case letters",
    ),
    "wrong-api": (
        RALSTON.replace("order: ClassVar[int] = 2", "api: ClassVar[int] = 99"),
        "Ralston: was written for version 99 of the plugin API; this noisette has 1",
    ),
    "wrong-kind": (
        RALSTON.replace("order: ClassVar[int] = 2", 'kind: ClassVar[str] = "schedule"'),
        "Ralston: has kind 'schedule'; expected that of its contract, sampler",
    ),
    "unknown-kind": (
        RALSTON.replace("order: ClassVar[int] = 2", 'kind: ClassVar[str] = "solver"'),
        "Ralston: has kind 'solver'; expected that of its contract, sampler",
    ),
    "twins": (
        CLASS
        + CLASS.replace("class Ralston", "class Other")
        + "\n@hookimpl\ndef plugins():\n    yield from (Ralston, Other)\n",
        "Ralston: its package has more than one sampler 'ralston'",
    ),
}


def test_a_whole_package_is_found_beside_the_built_in_ones(site: Site) -> None:
    site.install("acme-ralston")
    registry = site.registry()
    found = registry.find("sampler", "ralston")
    assert str(found.origin) == "acme-ralston 1.5, entry point 'main'"
    assert registry.broken == []
    assert {"ddim", "ddpm", "ralston"} <= set(registry.names("sampler"))
    assert registry.origin_of(found.plugin()) == {
        "kind": "sampler",
        "name": "ralston",
        "distribution": "acme-ralston",
        "version": "1.5",
        "code": code_of(found.plugin),
    }


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_package_is_named_and_the_rest_works(site: Site, source: str, reason: str) -> None:
    site.install("acme-ralston", source)
    registry = site.registry()
    assert {"ddim", "ddpm"} <= set(registry.names("sampler"))
    broken = registry.broken[0]
    assert str(broken.origin) == "acme-ralston 1.5, entry point 'main'"
    assert reason in broken.reason
    with pytest.raises(PluginError) as caught:
        registry.find("sampler", "ralston")
    assert str(caught.value).startswith("no sampler 'ralston'; there is ddim, ddpm")
    assert f"broken: acme-ralston 1.5, entry point 'main': {broken.reason}" in str(caught.value)


def test_at_least_fifteen_kinds_of_broken_are_tried() -> None:
    assert len(BROKEN) >= 15


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ("main = {module}:missing", "AttributeError: module 'acme_ralston' has no attribute 'missing'"),
        ("main = {module}.sub", "ModuleNotFoundError: No module named 'acme_ralston.sub'"),
        ("main = {module}_gone", "ModuleNotFoundError: No module named 'acme_ralston_gone'"),
    ],
)
def test_an_entry_point_to_nowhere_is_named(site: Site, points: str, reason: str) -> None:
    site.install("acme-ralston", RALSTON, points=points)
    registry = site.registry()
    assert [reason in broken.reason for broken in registry.broken] == [True]


def test_one_broken_class_does_not_take_its_neighbours_along(site: Site) -> None:
    site.install("acme-ralston", hook("yield from (Ralston, int)"))
    registry = site.registry()
    assert registry.find("sampler", "ralston").origin.distribution == "acme-ralston"
    assert len(registry.broken) == 1


@pytest.mark.parametrize(
    ("body", "points"),
    [("yield from (Ralston, Ralston)", "main = {module}"), ("yield Ralston", "a = {module}\nb = {module}")],
)
def test_a_class_that_a_package_offers_twice_is_one_plugin(site: Site, body: str, points: str) -> None:
    site.install("acme-ralston", hook(body), points=points)
    registry = site.registry()
    assert registry.find("sampler", "ralston").plugin.__name__ == "Ralston"
    assert registry.broken == []


def test_one_broken_entry_point_does_not_take_its_neighbours_along(site: Site) -> None:
    site.install("acme-ralston", RALSTON, points="a = {module}_gone\nb = {module}")
    registry = site.registry()
    assert registry.find("sampler", "ralston").origin.entry_point == "b"
    assert [broken.origin.entry_point for broken in registry.broken] == ["a"]


@pytest.mark.parametrize("damage", ["entry_points", "no-metadata", "no-name"])
def test_metadata_that_cannot_be_read_does_not_hide_other_packages(
    site: Site, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("acme-ralston")
    site.install("bad-ralston", RALSTON.replace('"ralston"', '"bad-ralston"'))
    metadata = site.folder / "bad_ralston-1.5.dist-info"
    if damage == "entry_points":
        (metadata / "entry_points.txt").write_bytes(b"[noisette]\nthis is no entry point\n\xff\xfe")
    elif damage == "no-metadata":
        (metadata / "METADATA").unlink()
    else:
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\n")
    registry = site.registry()
    assert registry.find("sampler", "ralston").origin.distribution == "acme-ralston"
    assert {"ddim", "ddpm"} <= set(registry.names("sampler"))
    if damage == "entry_points":
        assert "metadata of an installed package cannot be read" in caplog.text


def test_of_two_versions_the_first_on_the_path_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-ralston", version="1.5")
    older = Site(site.folder.parent / "older")
    older.folder.mkdir()
    older.install("acme-ralston", version="1.4")
    monkeypatch.syspath_prepend(older.folder)
    registry = site.registry()
    assert [found.origin.version for found in registry.found if found.plugin.name == "ralston"] == ["1.4"]
    older.forget()


def test_an_interrupt_is_no_fault_of_the_package(site: Site) -> None:
    site.install("acme-ralston", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.registry()


def test_what_a_package_prints_stays_out_of_our_output(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("acme-ralston", "print('hello from acme')\n" + RALSTON)
    site.registry()
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello from acme\n")


@pytest.mark.parametrize("word", ["acme-ralston", "ACME_ralston", "main", " other, acme-ralston"])
def test_packages_and_entry_points_can_be_blocked(site: Site, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-ralston", "1 / 0")
    assert len(site.registry().broken) == 1
    monkeypatch.setenv("NOISETTE_BLOCK_PLUGINS", word)
    registry = site.registry()
    assert registry.broken == []
    assert "ralston" not in registry.names("sampler")
    assert "ddim" in registry.names("sampler")


def test_strictness_makes_any_fault_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("acme-ralston")
    monkeypatch.setenv("NOISETTE_STRICT_PLUGINS", "1")
    assert site.registry().find("sampler", "ralston")
    site.install("bad-ralston", "1 / 0")
    with pytest.raises(
        PluginError, match=r"bad-ralston 1\.5, entry point 'main': ZeroDivisionError: division by zero"
    ):
        site.registry()
    monkeypatch.setenv("NOISETTE_STRICT_PLUGINS", "0")
    assert len(site.registry().broken) == 1


def wheel(folder: Path) -> Path:
    """Build a real wheel of a sampler."""
    project = folder / "project"
    project.mkdir()
    (project / "acme_euler.py").write_text(RALSTON.replace("ralston", "euler").replace("Ralston", "Euler"))
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "acme-euler"\nversion = "0.3"\n'
        '[project.entry-points.noisette]\neuler = "acme_euler"\n'
        '[tool.hatch.build.targets.wheel]\nonly-include = ["acme_euler.py"]\n'
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_that_pip_or_uv_installed_is_found_by_another_process(tmp_path: Path) -> None:
    target = tmp_path / "site"
    command = ["uv", "pip", "install", "--no-deps", "--offline", "--target", str(target), str(wheel(tmp_path))]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, env=environment)
    script = (
        "import json; from noisette import Experiment, registry\n"
        "found = registry().find('sampler', 'euler')\n"
        "walks = ['ddim', {'name': 'euler', 'steps': 9}]\n"
        "experiment = Experiment.parse({'name': 'x', 'dataset': 'digits', 'sampling': {'samplers': walks}})\n"
        "labels = [sampler.label for sampler in experiment.sampling.samplers]\n"
        "print(json.dumps([str(found.origin), labels]))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert json.loads(shown.stdout) == ["acme-euler 0.3, entry point 'euler'", ["ddim-50", "euler-9"]]

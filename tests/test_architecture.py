"""The house holds: layers, light imports, no pickle, and habits that a reader counts on."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parent.parent
ROOTS = {"core": "noisette", "plugins": "noisette_plugins", "flows": "noisette_flows"}
MODULES = sorted(path for root in ROOTS for path in (REPOSITORY / root).rglob("*.py"))
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def lint_imports(repository: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(repository / root) for root in ROOTS)
    command = [
        Path(sys.executable).with_name("lint-imports"),
        "--no-cache",
        "--config",
        repository / "pyproject.toml",
    ]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, cwd=repository, env=environment)


def test_the_layers_hold() -> None:
    done = lint_imports(REPOSITORY)
    assert done.returncode == 0, done.stdout
    assert "Contracts: 5 kept, 0 broken." in done.stdout


BROKEN = {
    "core/noisette/lazy.py": ("noisette_plugins.samplers", "mlflow", "noisette.training.engine"),
    "plugins/noisette_plugins/samplers/ddim.py": ("noisette_flows", "noisette.storage"),
    "flows/noisette_flows/__init__.py": ("torch", "noisette_plugins"),
}


def test_control_every_forbidden_import_is_seen(tmp_path: Path) -> None:
    for root in ROOTS:
        shutil.copytree(REPOSITORY / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for file, names in BROKEN.items():
        with (tmp_path / file).open("a") as module:
            module.writelines(f"\nimport {name}\n" for name in names)
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "Contracts: 0 kept, 5 broken." in done.stdout
    for chain in (
        r"noisette\.lazy -> noisette_plugins\.samplers",
        r"noisette\.lazy -> mlflow",
        r"noisette\.lazy -> noisette\.training\.engine",
        r"noisette_plugins\.samplers\.ddim -> noisette_flows",
        r"noisette_plugins\.samplers\.ddim -> noisette\.storage",
        r"noisette_flows -> torch",
        r"noisette_flows -> noisette_plugins",
    ):
        assert re.search(rf"^- *{chain} \(", done.stdout, flags=re.M), done.stdout


LIGHT = """
import importlib, json, sys
for name in {names!r}:
    importlib.import_module(name)
from noisette import registry
found = [found.plugin.name for found in registry().found]
print(json.dumps([found, sorted(name for name in {heavy!r} if name in sys.modules)]))
"""
HEAVY = ["PIL", "mlflow", "mlxtend", "numpy", "prefect", "safetensors", "scipy", "sklearn", "torch", "torchvision"]
ANSWERS_FROM_MANIFESTS = [
    "noisette.checkpoint",
    "noisette.config",
    "noisette.events",
    "noisette.journal",
    "noisette.layout",
    "noisette.sampling.samples",
    "noisette.stages",
    "noisette.storage",
]


def test_listing_plugins_and_finding_finished_stages_imports_nothing_heavy() -> None:
    script = LIGHT.format(names=ANSWERS_FROM_MANIFESTS, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    found, imported = json.loads(done.stdout)
    assert {"linear", "eps", "unet", "ddim", "frechet", "digits"} <= set(found)
    assert imported == []


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in MODULES:
        yield path.relative_to(REPOSITORY), ast.parse(path.read_text())


def names_of(tree: ast.Module, modules: Collection[str]) -> dict[str, str]:
    """Return where a package's names come from, for what is asked of the package and lies in a file of it."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in modules]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def files_needed(repository: Path) -> dict[str, set[str]]:
    """Return what each file imports, for type checkers and inside functions too; packages are seen through."""
    parsed = {
        path.relative_to(repository / root).with_suffix("").as_posix().replace("/", "."): ast.parse(
            path.read_text()
        )
        for root in ROOTS
        for path in (repository / root).rglob("*.py")
    }
    files = {name: tree for name, tree in parsed.items() if not name.endswith(".__init__")}
    packages = {name.removesuffix(".__init__"): tree for name, tree in parsed.items() if name not in files}
    homes = {name: names_of(tree, files.keys() | packages.keys()) for name, tree in packages.items()}

    def home(module: str, name: str) -> str:
        if f"{module}.{name}" in files:
            return f"{module}.{name}"
        return home(homes[module][name], name) if name in homes.get(module, ()) else module

    def needed(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                yield from (home(str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)

    return {name: (set(needed(tree)) & files.keys()) - {name} for name, tree in files.items()}


def test_no_files_need_each_other_in_a_circle() -> None:
    needs = files_needed(REPOSITORY)
    assert needs["noisette.training.engine"] >= {"noisette.training.state", "noisette.config.experiment"}
    TopologicalSorter(needs).prepare()  # raises a CycleError that names the files


@pytest.mark.parametrize(
    "closing",
    [
        "from noisette.model.model import Model",
        "from noisette.training import Model",
        "if TYPE_CHECKING:\n    from noisette import Model",
        "def late():\n    import noisette.model.model",
    ],
)
def test_control_a_circle_of_files_is_seen(closing: str, tmp_path: Path) -> None:
    for root in ROOTS:
        shutil.copytree(REPOSITORY / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "core" / "noisette" / "contracts" / "objective.py").open("a") as module:
        module.write(f"\n{closing}\n")
    with pytest.raises(CycleError, match=r"noisette\.contracts\.objective"):
        TopologicalSorter(files_needed(tmp_path)).prepare()


def test_every_module_says_its_idea() -> None:
    assert len(MODULES) > 80
    silent = [str(path) for path, tree in trees() if not ast.get_docstring(tree)]
    assert silent == []


def test_every_module_says_what_it_exports() -> None:
    def exports(tree: ast.Module) -> bool:
        assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in assigned)

    def offers(tree: ast.Module) -> bool:
        named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return any(isinstance(node, named) and not node.name.startswith("_") for node in tree.body)

    registered = Path("core/noisette/testing/checks")  # checks are found by their decorator, not by name
    quiet = [
        str(path) for path, tree in trees() if offers(tree) and not exports(tree) and path.parent != registered
    ]
    assert quiet == []


def test_tests_mirror_the_sources() -> None:
    """A file of tests begins with the module, package or folder that it is about."""
    for root, package in ROOTS.items():
        known = {
            path.stem for path in (REPOSITORY / root / package).iterdir() if not path.name.startswith(("_", "."))
        }
        known |= {path.stem for path in (REPOSITORY / root / package).rglob("*.py")} - {"__init__"}
        for test in (REPOSITORY / "tests" / root).glob("test_*.py"):
            words = test.stem.removeprefix("test_")
            assert any(words == name or words.startswith(f"{name}_") for name in known), test.name


PICKLING = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
SAFELY = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def pickles(tree: ast.Module) -> Iterator[str]:
    """Yield what might run a stranger's code out of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
            yield from (f"imports {name}" for name in names & PICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLING:
            yield f"imports {node.module}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keyword, value = SAFELY.get(called, ("", None))
            given = {word.arg: word.value for word in node.keywords}
            if keyword and not (isinstance(given.get(keyword), ast.Constant) and given[keyword].value is value):  # type: ignore[union-attr, attr-defined]
                yield f"calls {called} without {keyword}={value}"
            if called in ("eval", "exec"):
                yield f"calls {called}"


def test_nothing_is_pickled() -> None:
    assert [f"{path}: {fault}" for path, tree in trees() for fault in pickles(tree)] == []


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("import pickle", 1),
        ("from joblib import load", 1),
        ("torch.load(f)", 1),
        ("torch.load(f, weights_only=False)", 1),
        ("torch.load(f, weights_only=True)", 0),
        ("np.load(f, mmap_mode='r')", 1),
        ("np.load(f, allow_pickle=False)", 0),
        ("json.load(f); network.eval()", 0),
        ("eval(text)", 1),
    ],
)
def test_control_what_might_be_pickled_is_seen(source: str, faults: int) -> None:
    assert len(list(pickles(ast.parse(source)))) == faults


def pins(file: str) -> dict[str, list[Requirement]]:
    pinned: dict[str, list[Requirement]] = {}
    for line in (REPOSITORY / file).read_text().splitlines():
        requirement = Requirement(line)
        pinned.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pinned


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PYPROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]),
    ],
)
def test_the_pins_are_those_of_what_is_declared(file: str, wanted: list[str]) -> None:
    """`make lock` writes them; a dependency that is added without it is seen here."""
    pinned = pins(file)
    for text in wanted:
        requirement = Requirement(text)
        for pin in pinned[canonicalize_name(requirement.name)]:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_requirements_are_pins_alone() -> None:
    """No address of a registry, no path of one machine."""
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (REPOSITORY / file).read_text().splitlines():
            assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^ ]+( ; .+)?", line), line
    base, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: [str(pin) for pin in pinned] for name, pinned in base.items()}.items() <= {
        name: [str(pin) for pin in pinned] for name, pinned in dev.items()
    }.items()


def test_the_hooks_before_a_commit_need_no_network() -> None:
    text = (REPOSITORY / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.+)", text) == ["local"]
    tools = re.findall(r"entry: \.venv/bin/([a-z-]+)", text)
    assert tools == ["ruff", "ruff", "mypy", "lint-imports"]

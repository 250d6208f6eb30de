"""What the README says is true: its Python runs, its commands exist, its table of plugins is complete."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from noisette import registry

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    shutil.copytree(HERE / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    examples = blocks("python")
    assert len(examples) >= 2
    exec(compile("\n".join(examples), "README.md", "exec"), {"__name__": "readme"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["sampler", "steps"]
    assert lines[-1] == "euler-10"


def test_every_built_in_plugin_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| (`.*) \|$", README, flags=re.MULTILINE))
    for found in registry().found:
        if found.origin.distribution == "noisette":
            assert f"`{found.plugin.name}`" in rows[found.plugin.kind], found.plugin.name


def test_the_commands_of_the_readme_exist() -> None:
    from typer.main import get_command

    from noisette_flows.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    called = re.findall(r"^(?:uv run --no-sync )?(?:\S*/)?noisette (\w+)", README, flags=re.MULTILINE)
    assert called
    assert set(called) <= set(known)
    targets = set(re.findall(r"^([\w-]+):", (HERE / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) <= targets


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (HERE / target).exists(), target

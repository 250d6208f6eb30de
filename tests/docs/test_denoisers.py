"""The Python of docs/denoisers.md runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.environment import REPOSITORY

PAGE = (REPOSITORY / "docs" / "denoisers.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    namespace: dict[str, object] = {"__name__": "denoisers"}
    exec(compile("\n".join(examples), "denoisers.md", "exec"), namespace)
    brighter, symmetric = (float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.splitlines())
    assert brighter > 0.05
    assert symmetric < 1e-5
    assert namespace["sampled"].shape == (4, 3, 32, 32)  # type: ignore[attr-defined]
    gradients = [weight.grad for weight in namespace["network"].parameters()]  # type: ignore[attr-defined]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    images, filled, known = namespace["images"], namespace["filled"], namespace["known"]
    assert bool((filled[..., known] == images[..., known]).all())  # type: ignore[index]
    assert not bool((filled[..., ~known] == images[..., ~known]).all())  # type: ignore[index, operator]

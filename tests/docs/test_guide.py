"""The follower of guides detects mistakes in a guide."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.environment import Environment
from support.guide import Guide, blocks

RIGHT = """
```sh
printf 'class A:\\n    x = 1\\n\\ny = 2\\n' > made.py
echo "took 0.5 s"
echo "12 passed"
```
<!-- printed -->
```text
took 0.1 s
...
12 passed
```
<!-- shown: made.py -->
```python
    x = 1
```
<!-- changed: made.py -->
```python
class A:
    x = 3
```
<!-- changed: made.py -->
```python
y = 4
```
<!-- written: more.py -->
```python
import made; assert (made.A.x, made.y) == (3, 4)
```
```sh
python3 more.py
```
<!-- exit code 3 -->
```sh
exit 3
```
"""


@pytest.fixture
def guide(tmp_path: Path) -> Guide:
    return Guide(Environment(tmp_path / "none"), tmp_path)


def test_a_correct_guide_passes(guide: Guide) -> None:
    guide.follow(RIGHT)
    assert [block.language for block in blocks(RIGHT)] == [
        "sh",
        "text",
        "python",
        "python",
        "python",
        "python",
        "sh",
        "sh",
    ]
    assert len(guide.log) == 3


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("12 passed\n```\n<", "13 passed\n```\n<"),
        ("took 0.1 s\n...", "takes 0.1 s\n..."),
        ("    x = 1\n```", "    x = 2\n```"),
        ("    x = 3", "    x = 5"),
        ("y = 4", "y = 5"),
        ("python3 more.py", "python3 moore.py"),
        ("exit 3", "exit 0"),
        ("exit code 3", "exit code 2"),
        ("<!-- exit code 3 -->\n", ""),
        ("<!-- shown: made.py -->\n", ""),
    ],
)
def test_control_a_wrong_guide_fails(guide: Guide, right: str, wrong: str) -> None:
    assert RIGHT.count(right) == 1
    with pytest.raises(AssertionError):
        guide.follow(RIGHT.replace(right, wrong))

"""A guide in markdown that is followed to the letter: its commands are run, its listings written or compared.

A fenced block of `sh` is run; any other bears a comment before it that says what it is:

    <!-- exit code 1 -->       commands that are meant to fail
    <!-- written: PATH -->     a file that the reader writes
    <!-- changed: PATH -->     a class or a line that takes the place of the one of the same name
    <!-- shown: PATH -->       a part of a file that is there
    <!-- printed -->           lines that the last commands printed; decimals may differ, `...` stands for any lines
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.environment import Environment

__all__ = ["Block", "Guide", "blocks"]

_BLOCK = re.compile(r"(?:^<!-- (?P<role>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    role: str
    text: str

    @property
    def path(self) -> str:
        return self.role.partition(": ")[2]


def blocks(markdown: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(markdown):
        yield Block(found["language"], found["role"] or "", found["text"])


class Guide:
    """Follows a guide in a folder; `printed` is what the last commands printed, `log` all of it."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.printed = ""
        self.log: list[tuple[str, str]] = []

    def follow(self, markdown: str) -> None:
        for block in blocks(markdown):
            self.take(block)

    def take(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: if it does not come out as the guide has it.
        """
        role = block.role.partition(":")[0]
        if block.language == "sh":
            self.execute(block.text, int(block.role.removeprefix("exit code ") or 0))
            return
        actions = {"written": self.write, "changed": self.change, "shown": self.show, "printed": self.compare}
        assert role in actions, f"a block that is neither run nor compared: <!-- {block.role} -->\n{block.text}"
        actions[role](block)

    def execute(self, commands: str, code: int) -> None:
        done = self.environment.run("bash", "-euc", commands, cwd=self.folder)
        assert done.returncode == code, f"{commands}{done.stdout}{done.stderr}"
        self.printed = done.stdout
        self.log.append((commands, done.stdout))

    def write(self, block: Block) -> None:
        (self.folder / block.path).write_text(block.text)

    def show(self, block: Block) -> None:
        assert block.text in (self.folder / block.path).read_text(), f"{block.path} has no\n{block.text}"

    def change(self, block: Block) -> None:
        """Put a class, or a line, in the place of the one that is there."""
        path = self.folder / block.path
        source = path.read_text()
        old = _class_of(source, block.text) if block.text.startswith("class ") else _line_of(source, block.text)
        assert source.count(old) == 1
        path.write_text(source.replace(old, block.text))

    def compare(self, block: Block) -> None:
        came = iter(_words(self.printed))
        for line in _words(block.text):
            assert line == ["..."] or line in came, f"expected the line {' '.join(line)}; came\n{self.printed}"


def _class_of(source: str, new: str) -> str:
    (wanted,) = (node for node in ast.parse(new).body if isinstance(node, ast.ClassDef))
    (node,) = (n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == wanted.name)
    return "".join(source.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])


def _line_of(source: str, new: str) -> str:
    """Return the line that assigns to the same name."""
    (line,) = (
        line for line in source.splitlines(keepends=True) if line.partition(" = ")[0] == new.partition(" = ")[0]
    )
    return line


def _words(text: str) -> list[list[str]]:
    """Return the words of each line that has some, decimals made alike."""
    lines = [re.sub(r"\d+\.\d+|\d+(?= ±)|(?<=± )\d+", "#", line).split() for line in text.splitlines()]
    return [line for line in lines if line]

"""`python -m noisette`: the command, which core knows by its entry point alone."""

from __future__ import annotations

from importlib.metadata import distribution

if __name__ == "__main__":
    (command,) = distribution("noisette").entry_points.select(group="console_scripts", name="noisette")
    command.load()()

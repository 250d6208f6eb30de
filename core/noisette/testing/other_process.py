"""Other processes, with a different string hash seed and without the state that a plugin left in this one.

One runs functions of the checks and imports torch; the other only imports modules of plugins. Each is started on
first use and serves all plugins, as starting takes up to seconds, and ends with this process.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from noisette.contracts import Plugin
from noisette.testing.check import Skip
from noisette.testing.options import format_plugin

__all__ = ["find_heavy_imports", "run_in_other_process"]

_CODE = """
import importlib, importlib.util, json, os, sys
answers, sys.stdout = sys.stdout, sys.stderr

def module_of(name, file):
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", "") != file:
        top = name.partition(".")[0]
        for stale in [key for key in sys.modules if key == top or key.startswith(top + ".")]:
            del sys.modules[stale]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

def run(name, file, cls, options, module, function):
    plugin = getattr(module_of(name, file), cls)(**options)
    return getattr(importlib.import_module(module), function)(plugin)

def imports(name, heavy):
    before = set(sys.modules)
    try:
        importlib.import_module(name)
        return [one for one in heavy if one in sys.modules]
    finally:
        for fresh in set(sys.modules) - before:
            if fresh.partition(".")[0] == name.partition(".")[0]:
                del sys.modules[fresh]

def answer(path, environment, folder, question, *arguments):
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment, NOISETTE_ELSEWHERE="1")
    os.chdir(folder)
    return globals()[question](*arguments)

for line in sys.stdin:
    try:
        reply = {"result": answer(*json.loads(line))}
    except BaseException as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), file=answers, flush=True)
"""


def run_in_other_process(plugin: Plugin, module: str, function: str) -> Any:
    """Return the result, in JSON values, of a module's function for an equal plugin in another process.

    Raises:
        Skip: if the plugin cannot be created there, or the function fails.
    """
    if "NOISETTE_ELSEWHERE" in os.environ:  # a script that calls the checks, imported there for its plugin
        raise Skip(f"{format_plugin(plugin)}: runs in the other process already")
    options = plugin.options()
    options.pop("name", None)
    home = type(plugin).__module__
    file = str(getattr(sys.modules[home], "__file__", ""))
    name = "__script__" if home == "__main__" else home  # so that an `if __name__ == "__main__"` block does not run
    reply = _ask("run", name, file, type(plugin).__qualname__, options, module, function)
    if "result" not in reply:
        raise Skip(f"{format_plugin(plugin)}: cannot be checked in another process: {reply['error']}")
    return reply["result"]


def find_heavy_imports(module: str, heavy: Collection[str]) -> tuple[list[str], str]:
    """Return which of the `heavy` modules an import of a module imports too, and the error if it fails."""
    reply = _ask("imports", module, list(heavy))
    found = list(reply.get("result", heavy))
    if found:  # the next module must find a process without them, also where the import failed on the way
        _end_process("imports")
    return found, reply.get("error", "")


_PROCESSES: dict[str, subprocess.Popen[str]] = {}
"""Running processes by the kind of question that they answer."""


def _ask(question: str, *arguments: object) -> dict[str, Any]:
    """Ask the process for such questions and wait for its answer; after a crash the next call starts a new one."""
    process = _PROCESSES.get(question) or _start_process(question)
    assert process.stdin is not None
    assert process.stdout is not None
    asked = (sys.path, dict(os.environ), str(Path.cwd()), question, *arguments)
    try:
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except OSError as error:
        line = json.dumps({"error": str(error)})
    if not line:
        _end_process(question)
    return dict(json.loads(line or '{"error": "it ended"}'))


def _start_process(question: str) -> subprocess.Popen[str]:
    """Start a process, with a different string hash seed."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    _PROCESSES[question] = process = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process


@atexit.register
def _end_all_processes() -> None:
    for question in list(_PROCESSES):
        _end_process(question)


def _end_process(question: str) -> None:
    process = _PROCESSES.pop(question)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()

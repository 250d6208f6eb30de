"""Another process, with a different string hash seed and without the state that a plugin left in this one.

It is started on first use and serves all plugins, as importing torch takes seconds. It ends with this process.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from noisette.contracts import Plugin
from noisette.testing.check import Skip
from noisette.testing.options import format_plugin

__all__ = ["run_in_other_process"]

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

def answer(path, environment, folder, name, file, cls, options, module, function):
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment, NOISETTE_ELSEWHERE="1")
    os.chdir(folder)
    plugin = getattr(module_of(name, file), cls)(**options)
    return getattr(importlib.import_module(module), function)(plugin)

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
    place = (sys.path, dict(os.environ), str(Path.cwd()))
    reply = _ask((*place, name, file, type(plugin).__qualname__, options, module, function))
    if "result" not in reply:
        raise Skip(f"{format_plugin(plugin)}: cannot be checked in another process: {reply['error']}")
    return reply["result"]


def _ask(question: tuple[Any, ...]) -> dict[str, Any]:
    """Send a request and wait for the answer; after a crash the next request starts a new process."""
    process = _start_process()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except OSError as error:
        line = json.dumps({"error": str(error)})
    if not line:
        _end(process)
        _start_process.cache_clear()
    return dict(json.loads(line or '{"error": "it ended"}'))


@cache
def _start_process() -> subprocess.Popen[str]:
    """Start the process, with a different string hash seed."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    process = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()

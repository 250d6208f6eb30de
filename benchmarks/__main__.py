"""Run measurements and write the results.

python -m benchmarks                              all, into benchmarks/results and docs/benchmarks.md
python -m benchmarks --only training sampling     some; the others keep their results of that day
python -m benchmarks --quick                      tiny work, to check that all run; writes nothing
python -m benchmarks --page benchmarks/results/X.json   write the page and the plots from a run
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import about, load, slug
from benchmarks.plots import draw_plots
from benchmarks.report import MEASUREMENTS, PAGES, describe_machine, page, page_of, write_page
from benchmarks.setting import Setting

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


def main() -> None:
    """Run the measurements that were asked for."""
    options = _options()
    if options.page:
        _publish(json.loads(options.page.read_text(encoding="utf-8")), set(PAGES))
        return
    machine = about(options.threads)
    folder = options.to or HERE / "results"
    path = folder / f"{slug(machine)}-{machine['date'][:10]}.json"
    run = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"measurements": {}}
    run |= {"machine": machine, "quick": options.quick}
    torch.set_num_threads(options.threads)
    for name in options.only or MEASUREMENTS:
        print(f"== {name}", flush=True)
        run["measurements"][name] = measured = _measure(name, options)
        print("\n".join(MEASUREMENTS[name].table(measured["result"])), flush=True)
        if options.to is not None or not options.quick:  # figures that mean nothing are shown, and not kept
            _save(run, folder, path)
            if options.to is None:
                _publish(run, {page_of(name)})
            else:
                _show(run, folder)


def _save(run: dict[str, Any], folder: Path, path: Path) -> None:
    """Write what there is so far: measurements take long, and may be stopped."""
    run["measurements"] = {name: run["measurements"][name] for name in MEASUREMENTS if name in run["measurements"]}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _show(run: dict[str, Any], folder: Path) -> None:
    for name in PAGES:
        (folder / name).write_text(page(run, name), encoding="utf-8")
    draw_plots(run, folder)


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder), options.threads, options.quick)
        machine = about(options.threads)
        began = {"load": load(), "threads": options.threads, "date": machine["date"]}
        began["machine"] = describe_machine(machine)
        return {**began, "result": MEASUREMENTS[name].measure(setting)}


def _publish(run: dict[str, Any], pages: set[str]) -> None:
    """Write the pages whose measurements were made, and of the first page the plots."""
    for name in PAGES:
        if name in pages & set(map(page_of, run["measurements"])):
            write_page(run, DOCS / name)
    if PAGES[0] in pages:
        draw_plots(run, DOCS / "images")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), help="measurements to make")
    parser.add_argument("--quick", action="store_true", help="tiny work, few rounds; the figures mean nothing")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--to", type=Path, help="folder for everything, instead of benchmarks/results and docs")
    parser.add_argument("--page", type=Path, help="measure nothing: write the page of this run")
    return parser.parse_args()


if __name__ == "__main__":
    main()

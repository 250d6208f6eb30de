"""Compare the shipped recipes with their originals.

python -m proofs                          all recipes; exit code 1 if something differs and is not listed
python -m proofs --only tutorial          some
python -m proofs --set training.lr=1e-3   with a changed config, to see that the difference is found
python -m proofs --write                  write the results and the settings into docs/experiments.md
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch

from noisette.config.overrides import parse_override
from proofs.labml import Labml
from proofs.lucidrains import Lucidrains
from proofs.recipe import Recipe
from proofs.scratch import FromScratch
from proofs.table import write_results
from proofs.tea_pearce import TeaPearce

RECIPES: dict[str, type[Recipe]] = {
    name: recipe for recipe in (Lucidrains, Labml, TeaPearce, FromScratch) for name in recipe.names
}


def main() -> int:
    """Make the comparisons that were asked for; return the exit code."""
    options = _options()
    torch.set_num_threads(options.threads)
    changes: dict[str, Any] = dict(map(parse_override, options.set))
    results = {}
    for name in options.only or RECIPES:
        start = time.perf_counter()
        print(f"== {name}", flush=True)
        results[name] = []
        for comparison in RECIPES[name](name, changes).compare():
            results[name].append(comparison)
            reason = f"  ({comparison.reason})" if comparison.reason else ""
            print(f"{comparison.verdict:9} {comparison.difference:.1e}  {comparison.quantity}{reason}", flush=True)
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
    wrong = [x for found in results.values() for x in found if x.verdict in ("DIFFERENT", "STALE")]
    if options.write and not wrong:
        write_results(results)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), help="recipes to compare")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configs")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--write", action="store_true", help="write docs/experiments.md if nothing is wrong")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

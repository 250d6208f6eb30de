"""Compare the shipped recipes with their originals.

python -m proofs                          all recipes; exit code 1 if something differs and is not listed
python -m proofs --only tutorial          some
python -m proofs --set training.lr=1e-3   with a changed config, to see that the difference is found
python -m proofs --plant                  plant deviations one at a time; exit code 1 if one is not found
python -m proofs --write                  write the results and the settings into docs/experiments.md
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch

from noisette.config.overrides import parse_override
from proofs.flowers import Flowers
from proofs.ho import Ho
from proofs.labml import Labml
from proofs.lucidrains import Lucidrains
from proofs.plants import PLANTS, find, unplanted
from proofs.recipe import STAGES
from proofs.scratch import FromScratch
from proofs.table import write_results
from proofs.tea_pearce import TeaPearce
from proofs.text_to_image import LatentDiffusion

_KINDS: tuple[Any, ...] = (Lucidrains, Labml, TeaPearce, LatentDiffusion, FromScratch, Flowers, Ho)
RECIPES: dict[str, Any] = {name: kind for kind in _KINDS for name in kind.names}


def main() -> int:
    """Make the comparisons that were asked for; return the exit code."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.plant:
        return _plant(options.only or RECIPES)
    changes: dict[str, Any] = dict(map(parse_override, options.set))
    results = {}
    for name in options.only or RECIPES:
        start = time.perf_counter()
        print(f"== {name}", flush=True)
        results[name] = []
        for comparison in RECIPES[name](name, changes).compare(*options.stage):
            results[name].append(comparison)
            reason = f"  ({comparison.reason})" if comparison.reason else ""
            print(f"{comparison.verdict:9} {comparison.difference:.1e}  {comparison.quantity}{reason}", flush=True)
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
    wrong = [x for found in results.values() for x in found if x.verdict in ("DIFFERENT", "STALE")]
    if options.write and not wrong:
        write_results(results, whole=not options.stage)
    return 1 if wrong else 0


def _plant(names: Any) -> int:
    """Plant the deviations of some recipes; return the exit code."""
    planted, found, controls = 0, 0, {}
    for plant in (plant for plant in PLANTS if plant.recipe in names):
        kind, key = RECIPES[plant.recipe], (plant.recipe, plant.stage)
        if key not in controls:
            controls[key] = unplanted(kind, plant)
            wrong = [x.quantity for x in controls[key] if x.verdict in ("DIFFERENT", "STALE")]
            if wrong:
                print(f"{plant.recipe} differs without a plant: {', '.join(wrong)}")
                return 1
        by = find(kind, plant, controls[key])
        planted, found = planted + 1, found + bool(by)
        print(f"{'found' if by else 'MISSED':6} {plant.name} ({plant.recipe}): {', '.join(by)}", flush=True)
    print(f"{found} of {planted} planted deviations found")
    return 0 if found == planted else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), help="recipes to compare")
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=[], help="parts of the comparisons")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configs")
    parser.add_argument("--plant", action="store_true", help="plant deviations, and say what finds them")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--write", action="store_true", help="write docs/experiments.md if nothing is wrong")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Make the image and the table of samplers compared on Fashion-MNIST, from a run of its config.

    make figures-compare                     trains the model if needed; hours without a GPU
    make figures-compare ARGS="--num-images 1000" any option of `noisette compare`

Run it on an idle machine: the table includes the time per image.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from noisette import Report
from noisette.comparison import frontier
from noisette.machine import processor_name
from noisette_flows.display.table import markdown

HERE = Path(__file__).parent.parent
CONFIG = HERE / "configs" / "fashion-mnist.yaml"
CHART = HERE / "docs" / "images" / "fashion-mnist-samplers.png"
TABLE = HERE / "docs" / "fashion-mnist-samplers.md"


def main() -> None:
    """Run the experiment and the comparison, then write chart and table into docs/."""
    command = str(Path(sys.executable).with_name("noisette"))
    subprocess.run([command, "run", str(CONFIG)], cwd=HERE, check=True)
    compare = [command, "compare", str(CONFIG), "--json", *sys.argv[1:]]
    facts = json.loads(subprocess.run(compare, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout)
    chart = HERE / next(iter(facts["charts"].values()))
    CHART.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(chart, CHART)
    TABLE.write_text(page(facts), encoding="utf-8")


def page(facts: dict[str, list[str]]) -> str:
    """Return the page with chart, table, protocol and machine."""
    report = Report.open((HERE / str(facts["report"])).parent)
    notes = "".join(f"- {note}\n" for note in facts["notes"] if note not in report.notes)
    command = " ".join(["make figures-compare", *([f'ARGS="{" ".join(sys.argv[1:])}"'] if sys.argv[1:] else [])])
    lines = [
        "# Samplers compared on Fashion-MNIST\n",
        f"![Quality against network calls and seconds](images/{CHART.name})\n",
        "Bold: no sampler is better with the same number of network calls or fewer.\n",
        markdown(report, frontier(report)) + notes,
        f"Measured by `{command}` on {processor_name()}, {os.cpu_count()} cores.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

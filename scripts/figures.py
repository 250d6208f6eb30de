"""Update the table and the image of the README from a run of the demo.

    make figures

Run it on an idle machine: the table includes the time per image.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from noisette import Experiment, Report
from noisette.machine import processor_name
from noisette.stages import plan_stages
from noisette_flows.display.table import markdown

HERE = Path(__file__).parent.parent
CONFIG = HERE / "configs" / "digits.yaml"
SHOWN = "ddim-50"
MARKED = re.compile(r"(<!-- table: digits -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Run the demo, then write docs/images/digits.png and the README's table."""
    command = Path(sys.executable).with_name("noisette")
    subprocess.run([str(command), "run", str(CONFIG)], cwd=HERE, check=True)
    stages = plan_stages(Experiment.load(CONFIG), HERE / "runs")
    directories = {stage.name: stage.directory for stage in stages if stage.directory is not None}
    with Image.open(directories[f"sample {SHOWN}"] / "grid.png") as grid:
        target = HERE / "docs" / "images" / "digits.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        grid.save(target, optimize=True)
    table = markdown(Report.open(directories["evaluate"]))
    machine = f"Measured by `make figures` on {processor_name()}, {os.cpu_count()} cores, without a GPU."
    readme = HERE / "README.md"
    text, found = MARKED.subn(rf"\1{table}\n{machine}\n\2", readme.read_text(encoding="utf-8"))
    if not found:
        sys.exit("README.md: expected the marks '<!-- table: digits -->' and '<!-- end -->'")
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

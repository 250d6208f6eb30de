"""Make the images of docs/figures.md: run its commands and copy the images that they write.

    make figures-images                           trains the demo's model if needed
    make figures-images ARGS="--output elsewhere" the folder of results; runs by default

The photograph is one of scikit-learn's sample images (by danielbuechele, CC BY 2.0).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

HERE = Path(__file__).parent.parent
IMAGES = HERE / "docs" / "images"
PAGE = HERE / "docs" / "figures.md"
PHOTOGRAPH = "pagoda.png"


def main() -> None:
    """Run the page's commands in a temporary folder, then copy the images that the page shows."""
    command, arguments = str(Path(sys.executable).with_name("noisette")), sys.argv[1:]
    subprocess.run([command, "train", "configs/digits.yaml", *arguments], cwd=HERE, check=True)
    output = Path(arguments[arguments.index("--output") + 1] if "--output" in arguments else "runs")
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        Image.fromarray(load_sample_image("china.jpg")).save(workplace / PHOTOGRAPH)
        (workplace / "configs").symlink_to(HERE / "configs")
        (workplace / "runs").symlink_to((HERE / output).resolve())
        for line in figure_commands(PAGE.read_text(encoding="utf-8")):
            print(f"noisette {' '.join(line)}", flush=True)
            subprocess.run([command, *line, "--to", "."], cwd=workplace, check=True)
        for name in image_names(PAGE.read_text(encoding="utf-8")):
            copy_image(workplace, name)


def figure_commands(page: str) -> list[list[str]]:
    """Return the arguments of each command of the page that makes one of its images."""
    lines = re.findall(r"^```sh\nnoisette ([^\n]+)\n```\n+!\[", page, flags=re.MULTILINE)
    return [line.split("#")[0].replace("'", "").split() for line in lines]


def image_names(page: str) -> list[str]:
    """Return the names of the images that the page shows."""
    return re.findall(r"!\[[^\]]*\]\(images/([^)]+)\)", page)


def copy_image(folder: Path, name: str) -> None:
    """Copy the image with this stem; noisy photographs are stored with loss to keep the repository small."""
    moving = folder / f"{Path(name).stem}.webp"
    if name.endswith(".webp") and moving.exists():
        (IMAGES / name).write_bytes(moving.read_bytes())
        return
    with Image.open(folder / f"{Path(name).stem}.png") as image:
        image.save(IMAGES / name, **({"quality": 80} if name.endswith(".webp") else {"optimize": True}))


if __name__ == "__main__":
    main()

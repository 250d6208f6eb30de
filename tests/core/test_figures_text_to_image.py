"""Images for prompts by a tiny pipeline in the layout of CompVis/ldm-text2im-large-256, built here."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.pipelines import write_pipeline

from noisette import DataError, NotFiniteError
from noisette.config import FiguresConfig, parse
from noisette.figures import FigureResult, make_figure

pytest.importorskip("transformers", reason="text encoders of pretrained pipelines")

PROMPTS = ["An image of a cat laughing", "a squirrel"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("hub") / "ldm-text2im-large-256")


def show_of(pipeline: Path, seed: int = 0, **options) -> FiguresConfig:
    figure = {
        "name": "text-to-image",
        "pipeline": str(pipeline),
        "prompts": PROMPTS,
        "steps": 2,
        "guidance_scale": 6,
        **options,
    }
    show = parse({"name": "prompts", "seed": seed, "figures": [figure]})
    assert isinstance(show, FiguresConfig)
    return show


def drawn(root: Path, show: FiguresConfig) -> FigureResult:
    return make_figure(show, show.figures[0], root)


def pixels(shown: FigureResult, name: str) -> np.ndarray:
    with Image.open(shown.directory / f"text-to-image-{name}.png") as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def shown(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> FigureResult:
    return drawn(tmp_path_factory.mktemp("runs"), show_of(pipeline, num_images=2))


def test_every_prompt_has_its_images_and_all_are_on_one_page(shown: FigureResult) -> None:
    singles = {f"text-to-image-{prompt}-{number}.png" for prompt in (0, 1) for number in (0, 1)}
    assert set(shown.manifest.files) == singles | {"text-to-image.png"}
    assert [path.name for path in shown.files] == ["text-to-image.png"]
    assert pixels(shown, "0-0").shape == (32, 32, 3)
    with Image.open(shown.files[0]) as page:
        assert page.mode == "RGB"
        assert page.width >= 950
    assert shown.about["figure"]["prompts"] == PROMPTS


def test_images_are_what_the_pipeline_itself_draws(pipeline: Path, shown: FigureResult) -> None:
    from diffusers import LDMTextToImagePipeline

    from noisette.diffusion.noise import seeded_generator

    pipe = LDMTextToImagePipeline.from_pretrained(pipeline)
    pipe.set_progress_bar_config(disable=True)
    generator = seeded_generator(0, "prompt", 2)
    (theirs,) = pipe(PROMPTS[1], generator=generator, num_inference_steps=2, guidance_scale=6.0).images
    assert np.array_equal(np.asarray(theirs), pixels(shown, "1-0"))


def test_a_image_hangs_on_prompt_seed_and_number_alone(pipeline: Path, shown: FigureResult, tmp_path: Path) -> None:
    assert not np.array_equal(pixels(shown, "0-0"), pixels(shown, "0-1"))
    assert not np.array_equal(pixels(shown, "0-0"), pixels(shown, "1-0"))
    state = torch.random.get_rng_state()
    torch.rand(3)
    alone = drawn(tmp_path, show_of(pipeline, prompts=PROMPTS[:1], num_images=3))
    assert np.array_equal(pixels(alone, "0-1"), pixels(shown, "0-1"))  # however many are drawn
    torch.random.set_rng_state(state)
    other = drawn(tmp_path, show_of(pipeline, seed=1, prompts=PROMPTS[:1]))
    assert not np.array_equal(pixels(other, "0-0"), pixels(shown, "0-0"))


@pytest.mark.parametrize("options", [{"steps": 20}, {"guidance_scale": 1}, {"size": 48}])
def test_options_reach_the_pipeline(
    pipeline: Path, shown: FigureResult, tmp_path: Path, options: dict[str, int]
) -> None:
    other = drawn(tmp_path, show_of(pipeline, prompts=PROMPTS[:1], **options))
    side = options.get("size", 32)
    assert pixels(other, "0-0").shape == (side, side, 3)
    assert not np.array_equal(pixels(other, "0-0"), pixels(shown, "0-0"))


def test_changed_weights_are_another_pipeline(pipeline: Path, shown: FigureResult, tmp_path: Path) -> None:
    from noisette.layout import figures_directory

    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    show = show_of(copy)
    before = figures_directory(tmp_path, "", show.figures[0], show)
    (copy / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert figures_directory(tmp_path, "", show.figures[0], show) != before


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("place", ["bert/pytorch_model.bin", "unet/diffusion_pytorch_model.bin"])
def test_pickled_weights_are_read_as_tensors_alone(
    pipeline: Path, shown: FigureResult, tmp_path: Path, place: str
) -> None:
    """The pipeline on the hub is older than safetensors: its weights are torch's files, which may hold anything."""
    from safetensors.torch import load_file

    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    path = copy / place
    (safe,) = path.parent.glob("*.safetensors")
    weights = load_file(safe)
    safe.unlink()
    torch.save(weights, path)
    again = drawn(tmp_path / "runs", show_of(copy, prompts=PROMPTS[:1]))
    assert np.array_equal(pixels(again, "0-0"), pixels(shown, "0-0"))

    mark = tmp_path / "sprung"
    torch.save({**weights, "trap": Trap(mark)}, path)
    with pytest.raises(DataError, match="expected the directory of a diffusers pipeline"):
        drawn(tmp_path / "runs", show_of(copy, prompts=PROMPTS[:1]))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()  # control: the trap works


@pytest.mark.parametrize("place", ["", "unet"])
def test_code_in_the_folder_of_a_pipeline_is_not_run(pipeline: Path, tmp_path: Path, place: str) -> None:
    copy, mark = Path(shutil.copytree(pipeline, tmp_path / "copy")), tmp_path / "run"
    base = "UNet2DConditionModel" if place else "LDMTextToImagePipeline"
    code = f"import pathlib, diffusers\npathlib.Path({str(mark)!r}).touch()\nclass Mine(diffusers.{base}): pass\n"
    (copy / place / "mine.py").write_text(code)
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, place or "_class_name": ["mine", "Mine"]}))
    with pytest.raises(DataError, match="contains custom code"):
        drawn(tmp_path / "runs", show_of(copy, prompts=PROMPTS[:1]))
    assert not mark.exists()
    exec(code)
    assert mark.exists()  # control: the code would have left its mark


def test_a_diffusers_that_runs_such_code_is_refused(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noisette.figures.text_to_image.version", lambda name: "0.37.1")
    with pytest.raises(DataError, match=r"needs diffusers 0\.38 or newer; got 0\.37\.1"):
        drawn(tmp_path, show_of(pipeline))


def test_what_is_no_pipeline_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    for place in ("nobody/nothing", str(tmp_path / "empty")):
        with pytest.raises(
            DataError, match="expected the directory of a diffusers pipeline, or its name on the hub"
        ) as error:
            drawn(tmp_path / "runs", show_of(Path(place)))
        assert "copy the directory from another machine" in str(error.value)
    assert not (tmp_path / "runs" / "prompts" / "figures").exists() or not list(
        (tmp_path / "runs" / "prompts" / "figures").iterdir()
    )


def test_an_option_that_the_pipeline_does_not_take_is_refused_before_it_draws(
    pipeline: Path, tmp_path: Path
) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "ddpm")
    with pytest.raises(DataError, match="DDPMPipeline does not take prompt, guidance_scale"):
        drawn(tmp_path / "runs", show_of(tmp_path / "ddpm"))


def test_images_that_are_not_finite_are_no_images(pipeline: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: torch.full_like(value, torch.nan) for name, value in load_file(path).items()}, path)
    with pytest.raises(NotFiniteError, match="is not finite; try precision: fp32"):
        drawn(tmp_path / "runs", show_of(copy))


def test_too_large_a_pipeline_is_no_bug(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import LDMTextToImagePipeline

    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(LDMTextToImagePipeline, "__call__", lambda self, prompt, generator, **options: full())
    monkeypatch.setattr("noisette.figures.text_to_image.Pipeline._check_options", lambda self: None)
    with pytest.raises(DataError, match="is too large for the GPU in fp32; try precision: fp16"):
        drawn(tmp_path, show_of(pipeline))


def test_without_the_libraries_the_message_says_what_to_install(
    pipeline: Path, tmp_path: Path, monkeypatch
) -> None:
    from noisette.figures import text_to_image

    monkeypatch.setattr(text_to_image, "find_spec", lambda name: None if name == "transformers" else object())
    with pytest.raises(DataError, match=r"needs transformers, .*pip install 'diffusers>=\S+' 'transformers>="):
        drawn(tmp_path, show_of(pipeline))


@pytest.mark.slow
def test_the_libraries_are_imported_only_then(tmp_path: Path) -> None:
    """Not by the config, not by a plan, and not by images that need none of them."""
    show = {
        "name": "x",
        "figures": [{"name": "forward", "images": ["package:sklearn/datasets/images/china.jpg"]}],
    }
    script = f"""
import sys
from pathlib import Path
from noisette.config import parse
from noisette.stages import plan_stages
prompts = {{"name": "text-to-image", "pipeline": "a", "prompts": ["b"]}}
plan_stages(parse({{"name": "x", "figures": [prompts]}}), Path("."))
first = [name for name in ("torch", "diffusers", "transformers") if name in sys.modules]
from noisette.figures import make_figure
show = parse({json.dumps(show)})
make_figure(show, show.figures[0], {str(tmp_path)!r})
print(first, [name for name in ("diffusers", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"

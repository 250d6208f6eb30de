"""Every setting of the originals, beside the shipped config's, and the deviations with their reasons.

A value of the config is read by its path. Where noisette has no such option, `otherwise` is what it always does; as
soon as the option exists, its value is read. `tests/test_proofs.py` fails on a difference without a reason, and on
a reason without a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisette import Experiment, Shape
from noisette.config import FiguresConfig, load

__all__ = ["DEVIATIONS", "ORIGINALS", "SETTINGS", "Row", "Setting", "load_recipe", "rows"]

CONFIGS = Path(__file__).parent.parent / "configs"

_NO_OPTION = object()


@dataclass(frozen=True)
class Setting:
    """A setting of an original.

    Attributes:
        name: what it is called in the table.
        original: its value in the original.
        path: where the config has it, such as ``training.lr``; `parameters` counts those of the network.
        otherwise: what noisette does without that option.
    """

    name: str
    original: Any
    path: str = ""
    otherwise: Any = _NO_OPTION

    def ours(self, config: Experiment | FiguresConfig) -> Any:
        """Return the value of a shipped config.

        Raises:
            KeyError: if the config has no such path, and nothing is known otherwise.
        """
        if self.path == "parameters":
            return _count_parameters(config)
        value: Any = config
        for word in self.path.split(".") if self.path else ():
            if word.isdigit():
                value = value[int(word)]
            elif not hasattr(value, word):
                value = self.otherwise
                break
            else:
                value = getattr(value, word)
        value = value if self.path else self.otherwise
        if value is _NO_OPTION:
            raise KeyError(f"{self.name}: the config has no {self.path}")
        return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Row:
    """A setting of a recipe: the original's value, ours, and the reason of a difference ("" without one)."""

    name: str
    original: Any
    ours: Any
    reason: str

    @property
    def is_equal(self) -> bool:
        """Whether both have the same value."""
        return bool(self.original == self.ours)


ORIGINALS = {
    "tutorial": "document 000 with denoising-diffusion-pytorch 2.3.4",
    "bedrooms": "document 001, experiment 1, with denoising-diffusion-pytorch 2.3.4",
    "mnist-annotated": "document 001, experiment 3, with labml-nn 0.5.1",
    "mnist-conditional": "document 001, conditional: TeaPearce/Conditional_Diffusion_MNIST, script.py",
    "text-to-image": "document 001, Hugging Face: diffusers' pipeline with its defaults",
    "mnist-from-scratch": "document 002, its listings, with timm's ModelEmaV3",
    "flowers": "document 003: Keras' example generative/ddpm.py",
    "cifar10": "Ho, Jain & Abbeel 2020: hojonathanho/diffusion, scripts/run_cifar.py",
}

_IMAGE_SHAPES: dict[str, Shape] = {
    "tutorial": (3, 128, 128),
    "bedrooms": (3, 128, 128),
    "mnist-annotated": (1, 32, 32),
    "mnist-conditional": (1, 28, 28),
    "mnist-from-scratch": (1, 32, 32),
    "flowers": (3, 64, 64),
    "cifar10": (3, 32, 32),
}

_MNIST = (
    Setting("data", "mnist", "dataset.name"),
    Setting("training images", 60_000, otherwise=60_000),
    Setting("value range", "[0, 1]", "preparation.value_range", "[-1, 1]"),
    Setting("random flip", False, "training.random_flip"),
    Setting("schedule", "linear", "schedule.name"),
    Setting("first beta", 1e-4, "schedule.start"),
    Setting("last beta", 0.02, "schedule.end"),
    Setting("objective", "eps", "objective.name"),
    Setting("loss", "mse", "objective.loss"),
    Setting("loss weight", "none", "objective.weight"),
    Setting("max. gradient norm", None, "training.max_grad_norm"),
    Setting("gradient accumulation", 1, "training.microbatches"),
    Setting("Adam betas", [0.9, 0.999], "training.adam_betas"),
    Setting("Adam epsilon", 1e-8, "training.adam_eps"),
    Setting("weight decay", 0.0, "training.weight_decay"),
    Setting("learning rate warm-up", 0, "training.lr_warmup_steps"),
    Setting("sampler", "ddpm", "sampling.samplers.0.name"),
    Setting("sampling variance", "fixed-large", "sampling.samplers.0.variance"),
    Setting("clip of x0 in sampling", None, "sampling.clip_x0"),
    Setting("initial weights", "torch's defaults", "training.initialisation", "torch's defaults"),
    Setting("precision", "fp32", "training.precision"),
)

_LUCIDRAINS = (
    Setting("size", 128, "preparation.size"),
    Setting("channels", 3, "preparation.channels"),
    Setting("fit", "crop", "preparation.fit"),
    Setting("resampling", "bilinear, shorter side, then crop", "preparation.resampling", "crop, then bicubic"),
    Setting("held out", 0.0, "dataset.held_out"),
    Setting("value range", "[-1, 1]", "preparation.value_range", "[-1, 1]"),
    Setting("random flip", True, "training.random_flip"),
    Setting("schedule", "sigmoid", "schedule.name"),
    Setting("schedule's start", -3.0, "schedule.start"),
    Setting("schedule's end", 3.0, "schedule.end"),
    Setting("schedule's tau", 1.0, "schedule.tau"),
    Setting("timesteps", 1000, "timesteps"),
    Setting("objective", "v", "objective.name"),
    Setting("loss", "mse", "objective.loss"),
    # the error of v times snr / (snr + 1) is that of x0 times snr: min-snr with a bound that is never reached
    Setting("loss weight", "min-snr", "objective.weight"),
    Setting("bound of the loss weight", 1e6, "objective.min_snr"),
    Setting("parameters", 35_711_491, "parameters"),
    Setting("channels of the network", 64, "backbone.channels"),
    Setting("multipliers", [1, 2, 4, 8], "backbone.multipliers"),
    Setting("heads", 4, "backbone.heads"),
    Setting("channels of a head", 32, "backbone.head_channels"),
    Setting("dropout", 0.0, "backbone.dropout"),
    Setting("initial weights", "torch's defaults", "training.initialisation", "torch's defaults"),
    Setting("learning rate", 8e-5, "training.lr"),
    Setting("learning rate schedule", "constant", "training.lr_schedule"),
    Setting("learning rate warm-up", 0, "training.lr_warmup_steps"),
    Setting("Adam betas", [0.9, 0.99], "training.adam_betas"),
    Setting("Adam epsilon", 1e-8, "training.adam_eps"),
    Setting("weight decay", 0.0, "training.weight_decay"),
    Setting("max. gradient norm", 1.0, "training.max_grad_norm"),
    Setting("EMA decay", 0.995, "training.ema_decay"),
    Setting("EMA update every", 10, "training.ema_update_every"),
    Setting("EMA warm-up", "ema_pytorch", "training.ema_warmup"),
    Setting("drop the last partial batch", False, "training.drop_last"),
    Setting("precision", "fp16", "training.precision"),
    Setting("sampler", "ddim", "sampling.samplers.0.name"),
    Setting("sampling steps", 250, "sampling.samplers.0.steps"),
    Setting("sampling timesteps", "trailing", "sampling.samplers.0.spacing"),
    Setting("eta", 0.0, "sampling.samplers.0.eta"),
    Setting("clip of x0 in sampling", 1.0, "sampling.clip_x0"),
    Setting("sample grid every", 1000, "training.preview_every"),
    Setting("FID every", 1000, "training.evaluate_every"),
    Setting("images of each FID", 50_000, "training.evaluate_images"),
    Setting("FID features", "inception", "evaluation.features.name"),
    Setting("FID against", "training batches, flipped", otherwise="training images"),
)

_EPSILON = Setting(
    "Adam epsilon is added to", "the root of the raw moment", otherwise="the root of the corrected one"
)

SETTINGS: dict[str, tuple[Setting, ...]] = {
    "tutorial": (
        *_LUCIDRAINS,
        Setting("batch size", 32, "training.batch_size"),
        Setting("gradient accumulation", 1, "training.microbatches"),
        Setting("steps", 700_000, "training.steps"),
        Setting("flash attention", False, "backbone.flash"),
    ),
    "bedrooms": (
        *_LUCIDRAINS,
        Setting("batch size", 64, "training.batch_size"),  # 2 x 32
        Setting("gradient accumulation", 2, "training.microbatches"),
        Setting("last partial batch is one of", 32, "training.batch_size"),
        Setting("steps", 7000, "training.steps"),  # the text's; its listing has 700,000
        Setting("flash attention", True, "backbone.flash"),
    ),
    "mnist-annotated": (
        *_MNIST,
        Setting("size", 32, "preparation.size"),
        Setting("fit", "resize", "preparation.fit"),
        Setting("resampling", "bilinear", "preparation.resampling", "bicubic"),
        Setting("timesteps", 1000, "timesteps"),
        Setting("network", "labml-unet", "backbone.name"),
        Setting("parameters", 167_775_681, "parameters"),
        Setting("dropout", 0.1, "backbone.dropout"),
        Setting("batch size", 64, "training.batch_size"),
        Setting("drop the last partial batch", False, "training.drop_last"),
        Setting("steps", 15 * 938, "training.steps"),
        Setting("learning rate", 2e-5, "training.lr"),
        Setting("learning rate schedule", "constant", "training.lr_schedule"),
        Setting("EMA decay", None, "training.ema_decay"),
        Setting("sampling steps", 1000, "sampling.samplers.0.steps"),
        Setting("noise at the last step", True, "sampling.samplers.0.final_noise", False),
        Setting("dropout in sampling", True, otherwise=False),  # its loop never calls eval()
        Setting("sample grid every", 938, "training.preview_every"),
    ),
    "mnist-conditional": (
        *_MNIST,
        Setting("size", 28, otherwise=28),
        Setting("timesteps", 400, "timesteps"),
        Setting("betas are scaled by T", False, "schedule.scaled"),
        Setting("betas", "401, timesteps 1 to 400", otherwise="400, timesteps 0 to 399"),
        Setting("network", "context-unet", "backbone.name"),
        Setting("T of the network's time", 400, "backbone.timesteps"),
        Setting("parameters", 6_585_601, "parameters"),
        Setting("batch size", 256, "training.batch_size"),
        Setting("drop the last partial batch", False, "training.drop_last"),
        Setting("steps", 20 * 235, "training.steps"),
        Setting("learning rate", 1e-4, "training.lr"),
        Setting("learning rate schedule", "linear-by-epoch", "training.lr_schedule"),
        Setting("EMA decay", None, "training.ema_decay"),
        Setting("labels", True, "training.class_conditional"),
        Setting("label dropout", 0.1, "training.class_dropout"),
        Setting("sampling steps", 400, "sampling.samplers.0.steps"),
        Setting("guidance scales of the grid", [1, 1.5, 3], "figures.0.guidance_scale"),
        Setting("rows of the grid", 4, "figures.0.rows"),
        Setting("real images under the grid", True, "figures.0.real_images", False),
        Setting("samples are made every", 235, "training.preview_every"),
    ),
    "mnist-from-scratch": (
        *_MNIST,
        Setting("size", 32, "preparation.size"),
        Setting("fit", "pad", "preparation.fit"),
        Setting("timesteps", 1000, "timesteps"),
        Setting("network", "scratch-unet", "backbone.name"),
        Setting("parameters", 35_178_689, "parameters"),
        Setting("widths", [64, 128, 256, 512, 512, 384], "backbone.widths"),
        Setting("layers with attention", [2, 6], "backbone.attention"),
        Setting("heads", 8, "backbone.heads"),
        Setting("groups", 32, "backbone.groups"),
        Setting("dropout", 0.1, "backbone.dropout"),
        Setting("attention dropout in sampling", True, "backbone.attention_dropout_in_sampling", False),
        Setting("batch size", 64, "training.batch_size"),
        Setting("drop the last partial batch", True, "training.drop_last"),
        Setting("steps", 75 * 937, "training.steps"),
        Setting("learning rate", 2e-5, "training.lr"),
        Setting("learning rate schedule", "constant", "training.lr_schedule"),
        Setting("EMA decay", 0.9999, "training.ema_decay"),
        Setting("EMA update every", 1, "training.ema_update_every"),
        Setting("EMA warm-up", "none", "training.ema_warmup"),
        Setting("sampling steps", 1000, "sampling.samplers.0.steps"),
        Setting("timesteps of the strip", [0, 15, 50, 100, 200, 300, 400, 550, 700, 999], "figures.0.timesteps"),
        Setting("strips", 10, "figures.0.num_images"),
        Setting("the strip shows", "the mean, before its noise", otherwise="the state, with its noise"),
    ),
    "flowers": (
        Setting("data", "flowers102", "dataset.name"),
        Setting("training images", 1020, otherwise=1020),
        Setting("size", 64, "preparation.size"),
        Setting("channels", 3, "preparation.channels"),
        Setting("fit", "crop", "preparation.fit"),
        Setting("resampling", "bilinear, antialiased, in float", "preparation.resampling", "bicubic, in bytes"),
        Setting("value range", "[-1, 1]", "preparation.value_range", "[-1, 1]"),
        Setting("random flip", True, "training.random_flip"),
        Setting("schedule", "linear", "schedule.name"),
        Setting("first beta", 1e-4, "schedule.start"),
        Setting("last beta", 0.02, "schedule.end"),
        Setting("timesteps", 1000, "timesteps"),
        Setting("objective", "eps", "objective.name"),
        Setting("loss", "mse", "objective.loss"),
        Setting("loss weight", "none", "objective.weight"),
        Setting("parameters", 63_200_387, "parameters"),
        Setting("channels of the network", 64, "backbone.channels"),
        Setting("multipliers", [1, 2, 4, 8], "backbone.multipliers"),
        Setting("residual blocks", 2, "backbone.blocks"),
        Setting("levels with attention", [2, 3], "backbone.attention"),
        Setting("skip of the attention", "the normalised input", otherwise="the input"),
        Setting("groups", 8, "backbone.groups"),
        Setting("group norm epsilon", 1e-3, "backbone.epsilon"),
        Setting("sines and cosines", 256, "backbone.time_channels"),
        Setting("dropout", 0.0, "backbone.dropout"),
        Setting("initial weights", "variance scaling", "training.initialisation", "torch's defaults"),
        Setting("batch size", 32, "training.batch_size"),
        Setting("gradient accumulation", 1, "training.microbatches"),
        Setting("drop the last partial batch", True, "training.drop_last"),
        Setting("steps", 800 * 31, "training.steps"),
        Setting("learning rate", 2e-4, "training.lr"),
        Setting("learning rate schedule", "constant", "training.lr_schedule"),
        Setting("learning rate warm-up", 0, "training.lr_warmup_steps"),
        Setting("Adam betas", [0.9, 0.999], "training.adam_betas"),
        Setting("Adam epsilon", 1e-7, "training.adam_eps"),
        _EPSILON,
        Setting("weight decay", 0.0, "training.weight_decay"),
        Setting("max. gradient norm", None, "training.max_grad_norm"),
        Setting("EMA decay", 0.999, "training.ema_decay"),
        Setting("EMA update every", 1, "training.ema_update_every"),
        Setting("EMA warm-up", "none", "training.ema_warmup"),
        Setting("precision", "fp32", "training.precision"),
        Setting("sampler", "ddpm", "sampling.samplers.0.name"),
        Setting("sampling steps", 1000, "sampling.samplers.0.steps"),
        Setting("sampling variance", "fixed-small", "sampling.samplers.0.variance"),
        Setting("clip of x0 in sampling", 1.0, "sampling.clip_x0"),
        Setting("sample grid every", 31, "training.preview_every"),
        Setting("metrics", [], "evaluation.metrics", []),
    ),
    "cifar10": (
        Setting("data", "cifar10", "dataset.name"),
        Setting("value range", "[-1, 1]", "preparation.value_range", "[-1, 1]"),
        Setting("random flip", True, "training.random_flip"),
        Setting("schedule", "linear", "schedule.name"),
        Setting("first beta", 1e-4, "schedule.start"),
        Setting("last beta", 0.02, "schedule.end"),
        Setting("timesteps", 1000, "timesteps"),
        Setting("objective", "eps", "objective.name"),
        Setting("loss", "mse", "objective.loss"),
        Setting("loss weight", "none", "objective.weight"),
        Setting("parameters", 35_746_307, "parameters"),
        Setting("channels of the network", 128, "backbone.channels"),
        Setting("multipliers", [1, 2, 2, 2], "backbone.multipliers"),
        Setting("residual blocks", 2, "backbone.blocks"),
        Setting("levels with attention", [1], "backbone.attention"),
        Setting("groups", 32, "backbone.groups"),
        Setting("group norm epsilon", 1e-6, "backbone.epsilon"),
        Setting("dropout", 0.1, "backbone.dropout"),
        Setting("initial weights", "variance scaling", "training.initialisation", "torch's defaults"),
        Setting("batch size", 128, "training.batch_size"),
        Setting("gradient accumulation", 1, "training.microbatches"),
        Setting("steps", 800_000, "training.steps"),
        Setting("learning rate", 2e-4, "training.lr"),
        Setting("learning rate schedule", "constant", "training.lr_schedule"),
        Setting("learning rate warm-up", 5000, "training.lr_warmup_steps"),
        Setting("learning rate of the first step", 0.0, otherwise=2e-4 / 5000),
        Setting("Adam betas", [0.9, 0.999], "training.adam_betas"),
        Setting("Adam epsilon", 1e-8, "training.adam_eps"),
        _EPSILON,
        Setting("weight decay", 0.0, "training.weight_decay"),
        Setting("max. gradient norm", 1.0, "training.max_grad_norm"),
        Setting("gradient that is clipped", "of each of 8 shards", otherwise="of the batch"),
        Setting("drop the last partial batch", None, "training.drop_last"),
        Setting("EMA decay", 0.9999, "training.ema_decay"),
        Setting("EMA update every", 1, "training.ema_update_every"),
        Setting("EMA warm-up", "none", "training.ema_warmup"),
        Setting("precision", "fp32", "training.precision"),
        Setting("sampler", "ddpm", "sampling.samplers.1.name"),
        Setting("sampling steps", 1000, "sampling.samplers.1.steps"),
        Setting("sampling variance", "fixed-large", "sampling.samplers.1.variance"),
        Setting("clip of x0 in sampling", 1.0, "sampling.clip_x0"),
        Setting("images for FID", 50_000, "sampling.num_images"),
    ),
    "text-to-image": (
        Setting("pipeline", "CompVis/ldm-text2im-large-256", "figures.0.pipeline"),
        Setting("prompts", ["An image of a cat laughing"], "figures.0.prompts"),
        Setting("images of each prompt", 1, "figures.0.num_images"),
        Setting("steps", None, "figures.0.steps"),  # the pipeline's own, 50
        Setting("guidance scale", None, "figures.0.guidance_scale"),  # the pipeline's own, 1: off
        Setting("size", None, "figures.0.size"),  # the pipeline's own, 256
    ),
}

_RANGE = "noisette trains on [-1, 1], as the paper does; [0, 1] is not an option yet"
_PRECISION = "auto takes bf16 where the hardware is fast at it, else float32; comparisons are made in float32"
_BICUBIC = "images are resized once, with Pillow's bicubic filter"
_INITIAL = "initialisation is not an option yet; the layers of zeros are the same"

_OF_ADAM = "torch's Adam; TensorFlow's and Keras' differs by a factor in epsilon alone"

_OF_LUCIDRAINS = {
    "resampling": _BICUBIC,
    "FID every": "50,000 images every 1,000 steps take far longer than the training; set training.evaluate_every",
    "images of each FID": "the same reason; set training.evaluate_images",
    "FID against": "the images as they are, in one pass",
}

_OF_MNIST = {"value range": _RANGE, "precision": _PRECISION}

DEVIATIONS: dict[str, dict[str, str]] = {
    "tutorial": {
        **_OF_LUCIDRAINS,
        "flash attention": "the same function; the fused kernel needs less memory",
    },
    "bedrooms": {
        **_OF_LUCIDRAINS,
        "last partial batch is one of": "a batch here is what is accumulated; the original accumulates over two",
    },
    "mnist-annotated": {
        **_OF_MNIST,
        "resampling": _BICUBIC,
        "parameters": "the original makes norms for its attention, and never calls them: 10,752 weights",
        "noise at the last step": "an option of the sampler that is not there yet; the noise's std is 0.01",
        "dropout in sampling": "a defect of the original: its sampling loop leaves the network in training mode",
    },
    "mnist-conditional": {
        **_OF_MNIST,
        "betas": "the original tabulates 401 betas, and neither trains on the first nor samples with it",
        "real images under the grid": "not an option of the figure yet",
        "samples are made every": "every fourth epoch, to save time; set training.preview_every=235",
    },
    "mnist-from-scratch": {
        **_OF_MNIST,
        "attention dropout in sampling": "a defect of the original: its dropout_p does not follow eval()",
        "the strip shows": "the figure shows the states of the trajectory",
    },
    "flowers": {
        "resampling": _BICUBIC,
        "skip of the attention": "a defect of the original: it adds the attention to its normalised input",
        "initial weights": _INITIAL,
        "Adam epsilon is added to": _OF_ADAM,
        "precision": _PRECISION,
        "sample grid every": "every hundredth epoch: a grid takes longer than an epoch",
        "metrics": "KID and FID, which the document names and leaves out",
    },
    "cifar10": {
        "initial weights": _INITIAL,
        "learning rate of the first step": "the warm-up begins at 1 / 5000 of the rate, not at 0",
        "Adam epsilon is added to": _OF_ADAM,
        "gradient that is clipped": "the original runs on the 8 cores of a TPU, each with 16 images of the batch",
        "precision": _PRECISION,
    },
    "text-to-image": {},
}


def load_recipe(recipe: str, changes: dict[str, Any] | None = None) -> Experiment | FiguresConfig:
    """Load the shipped config of a recipe, with changes as `--set` makes them."""
    return load(CONFIGS / f"{recipe}.yaml", changes or {})


def rows(recipe: str, changes: dict[str, Any] | None = None) -> list[Row]:
    """Return every setting of a recipe, the original's beside ours, with changes as `--set` makes them."""
    config = load_recipe(recipe, changes)
    reasons = DEVIATIONS[recipe]
    return [
        Row(setting.name, setting.original, setting.ours(config), reasons.get(setting.name, ""))
        for setting in SETTINGS[recipe]
    ]


def _count_parameters(config: Experiment | FiguresConfig) -> int:
    import torch

    assert isinstance(config, Experiment)
    shape, classes = _IMAGE_SHAPES[config.name], 10 if config.training.class_conditional else 0
    with torch.device("meta"):
        network = config.backbone.build(shape, classes, shape[0])
    return sum(parameter.numel() for parameter in network.parameters())

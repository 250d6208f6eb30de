"""How the network is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from noisette.config.document import Decay, Section

__all__ = ["Training"]


class Training(Section):
    """How the network is trained."""

    steps: NonNegativeInt = Field(10_000, description="optimizer steps; 0 for a network that was imported")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="images a step, of all processes together")
    images: PositiveInt | None = Field(
        None, description="images to train on, in place of steps or, with both, whichever ends first"
    )
    lr: PositiveFloat = Field(2e-4, description="learning rate of Adam, after the warm-up")
    adam_betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's decays of the moments")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    lr_warmup_steps: NonNegativeInt = Field(0, description="steps over which the learning rate rises linearly")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate goes to zero after the warm-up"
    )
    max_grad_norm: PositiveFloat | None = Field(1.0, description="largest norm of the gradient; null never clips")
    ema_decay: Decay | Annotated[tuple[Decay, ...], Field(min_length=1)] | None = Field(
        0.9999, description="decay of the averaged weights, or several, of which the first is used; null keeps none"
    )
    ema_snapshot_every: PositiveInt | None = Field(
        None, description="steps between two snapshots of averages whose length is chosen later; null keeps none"
    )
    microbatches: PositiveInt = Field(1, description="split a batch into this many parts, to save memory")
    random_flip: bool = Field(False, description="mirror half of the images, at random")
    timestep_sampler: Literal["uniform", "antithetic", "importance"] = Field(
        "uniform",
        description="how steps are drawn; antithetic pairs t with T-1-t; importance goes by the losses so far, "
        "which steadies the full bound",
    )
    self_condition: bool = Field(
        False, description="show the network the x0 that it saw a step earlier (Chen et al. 2023, analog bits)"
    )
    low_res_size: PositiveInt | None = Field(
        None,
        description="super-resolution: pixels of the shorter side of a small image that the network is shown and "
        "learns to enlarge",
    )
    offset_noise: float = Field(0.0, ge=0, description="noise shared by a whole channel, as a share of the noise")
    class_conditional: bool = Field(False, description="tell the network the class of each image")
    class_dropout: float = Field(0.1, ge=0, lt=1, description="share of labels hidden, for guidance")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="what the network computes in; auto takes bf16 where the machine is fast at it"
    )
    compile: bool = Field(False, description="use torch.compile")
    log_every: PositiveInt = Field(50, description="steps between two lines of the journal")
    checkpoint_every: PositiveInt = Field(1000, description="steps between two checkpoints")
    checkpoint_seconds: PositiveFloat | None = Field(
        600, description="most seconds between two checkpoints, where steps are slow; null counts steps alone"
    )
    preview_every: PositiveInt | None = Field(None, description="steps between two sample grids; null draws none")
    evaluate_every: PositiveInt | None = Field(
        None, description="steps between two evaluations of the network in training; null makes none"
    )
    evaluate_images: PositiveInt = Field(256, description="images drawn for each such evaluation")
    monitor: str | None = Field(
        None, description="result whose best checkpoint is kept, such as kid; null takes the first metric's"
    )
    patience: PositiveInt | None = Field(
        None, description="evaluations without a better result after which training ends; null never"
    )
    max_seconds: PositiveFloat | None = Field(None, description="training time after which it ends; null never")
    keep_checkpoints: PositiveInt = Field(2, description="checkpoints that are kept")
    processes: int = Field(1, ge=1, le=4096, description="processes that share each batch; with GPUs one for each")
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="what each process holds of the network: all of it (ddp), or a part of everything (fsdp)"
    )

    @model_validator(mode="before")
    @classmethod
    def _count_steps(cls, options: Any) -> Any:
        if not isinstance(options, dict) or not isinstance(options.get("images"), int):
            return options
        batch = options.get("batch_size", cls.model_fields["batch_size"].default)
        if not isinstance(batch, int) or batch < 1:
            return options
        steps = -(-options["images"] // batch)
        max_steps = options.get("steps")
        return {**options, "steps": min(steps, max_steps) if isinstance(max_steps, int) else steps}

    @field_validator("processes")
    @classmethod
    def _check_processes(cls, processes: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_size")
        if batch is not None and processes > batch:
            raise ValueError(
                f"expected at most training.batch_size, {batch}, so that each has an image; got {processes}"
            )
        return processes

    @field_validator("patience")
    @classmethod
    def _check_patience(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("evaluate_every") is None:
            raise ValueError("needs training.evaluate_every: it counts evaluations")
        return patience

    @field_validator("ema_decay")
    @classmethod
    def _check_ema_decay(cls, ema: Any) -> Any:
        if isinstance(ema, tuple) and len(set(ema)) < len(ema):
            raise ValueError(f"expected decays that differ; got {', '.join(map(str, ema))}")
        return ema

    @property
    def decays(self) -> tuple[float, ...]:
        """The decays of all averaged weights; empty for none."""
        return (
            ()
            if self.ema_decay is None
            else self.ema_decay
            if isinstance(self.ema_decay, tuple)
            else (self.ema_decay,)
        )

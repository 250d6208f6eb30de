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

__all__ = ["EMAWarmup", "OptimizerName", "Training"]

EMAWarmup = Literal["none", "tensorflow", "ema_pytorch"]
"""How the decay of averaged weights rises; see `noisette.training.ema`."""

OptimizerName = Literal["adamw", "adam", "sgd", "radam", "nadam", "adafactor", "muon"]


class Training(Section):
    """How the network is trained."""

    steps: NonNegativeInt = Field(10_000, description="optimizer steps; 0 for an imported network")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="images per step, of all processes together")
    images: PositiveInt | None = Field(
        None, description="images to train on, instead of steps; with both, the smaller number of steps"
    )
    drop_last: bool | None = Field(
        None,
        description="last batch of an epoch: true drops it if it is not full, false makes it smaller; null: "
        "it continues with the next epoch",
    )
    optimizer: OptimizerName = Field(
        "adamw", description="torch's optimizer; muon is for matrices, and the other weights get adamw"
    )
    lr: PositiveFloat = Field(2e-4, description="learning rate after the warm-up")
    adam_betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's betas")
    adam_eps: PositiveFloat = Field(1e-8, description="Adam's epsilon")
    momentum: float | None = Field(
        None, ge=0, lt=1, description="momentum of sgd and muon; null: torch's default, 0 and 0.95"
    )
    weight_decay: float = Field(
        0.0, ge=0, description="decoupled weight decay; of adam, sgd, radam and nadam: an L2 penalty"
    )
    lr_warmup_steps: NonNegativeInt = Field(0, description="steps over which the learning rate rises linearly")
    lr_schedule: Literal["constant", "linear", "linear-by-epoch", "cosine"] = Field(
        "constant",
        description="decay of the learning rate to zero after the warm-up; linear-by-epoch: lr times 1 - epoch / "
        "epochs",
    )
    max_grad_norm: PositiveFloat | None = Field(1.0, description="maximum norm of the gradient; null: no clipping")
    ema_decay: Decay | Annotated[tuple[Decay, ...], Field(min_length=1)] | None = Field(
        0.9999,
        description="decay of the averaged weights, or several; sampling uses the first by default; null: none",
    )
    ema_warmup: EMAWarmup = Field(
        "tensorflow",
        description="rise of ema_decay; tensorflow: (1 + step) / (10 + step); ema_pytorch: copies up to step 101, "
        "then 1 - (step - 100)^(-2/3)",
    )
    ema_update_every: PositiveInt = Field(1, description="steps between updates of the averaged weights")
    ema_snapshot_every: PositiveInt | None = Field(
        None, description="steps between snapshots for post-hoc EMA; null: none"
    )
    microbatches: PositiveInt = Field(1, description="number of parts of a batch, to save memory")
    random_flip: bool = Field(False, description="flip half of the images horizontally, at random")
    timestep_sampler: Literal["uniform", "antithetic", "importance"] = Field(
        "uniform",
        description="distribution of the timesteps; antithetic pairs t with T-1-t; importance uses the losses "
        "so far, which reduces the variance of the full bound",
    )
    self_condition: bool = Field(
        False, description="give the network its previous x0 prediction (Chen et al. 2023, analog bits)"
    )
    low_res_size: PositiveInt | None = Field(
        None,
        description="super-resolution: shorter side in pixels of the small image that the network enlarges",
    )
    offset_noise: float = Field(0.0, ge=0, description="scale of additional noise that is constant over a channel")
    class_conditional: bool = Field(False, description="condition the network on the class of each image")
    class_dropout: float = Field(0.1, ge=0, lt=1, description="fraction of labels dropped, for guidance")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="precision of the network; auto: bf16 where the device is fast at it; fp16: with scaled "
        "gradients, and fp32 on a CPU",
    )
    compile: bool = Field(False, description="use torch.compile")
    log_every: PositiveInt = Field(50, description="steps between lines of the journal")
    checkpoint_every: PositiveInt = Field(1000, description="steps between checkpoints")
    checkpoint_seconds: PositiveFloat | None = Field(
        600, description="maximum seconds between checkpoints; null: no limit"
    )
    preview_every: PositiveInt | None = Field(None, description="steps between preview grids; null: none")
    evaluate_every: PositiveInt | None = Field(None, description="steps between evaluations; null: none")
    evaluate_images: PositiveInt = Field(256, description="images sampled for each evaluation")
    monitor: str | None = Field(
        None, description="result that selects the best checkpoint, such as kid; null: the first metric's"
    )
    patience: PositiveInt | None = Field(
        None, description="evaluations without improvement after which training ends; null: no limit"
    )
    max_seconds: PositiveFloat | None = Field(None, description="maximum training time; null: no limit")
    keep_checkpoints: PositiveInt = Field(2, description="number of checkpoints to keep")
    processes: int = Field(1, ge=1, le=4096, description="processes that share each batch, one per GPU")
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="whether each process holds the whole network (ddp) or a shard (fsdp)"
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
                f"expected at most training.batch_size, {batch}, so that each process has an image; got {processes}"
            )
        return processes

    @field_validator("momentum")
    @classmethod
    def _check_momentum(cls, momentum: float | None, info: ValidationInfo) -> float | None:
        if momentum is not None and info.data.get("optimizer", "sgd") not in ("sgd", "muon"):
            raise ValueError(f"needs training.optimizer=sgd or muon; {info.data['optimizer']} has no such option")
        return momentum

    @field_validator("adam_betas", "adam_eps")
    @classmethod
    def _check_adam(cls, value: Any, info: ValidationInfo) -> Any:
        optimizer = info.data.get("optimizer")
        if optimizer in ("sgd", "adafactor") and value != cls.model_fields[str(info.field_name)].default:
            raise ValueError(f"needs another training.optimizer; {optimizer} has no such option")
        return value

    @field_validator("parallel")
    @classmethod
    def _check_parallel(cls, parallel: str, info: ValidationInfo) -> str:
        optimizer = info.data.get("optimizer", "adamw")
        if parallel == "fsdp" and info.data.get("precision") == "fp16":
            raise ValueError("expected ddp, as fsdp needs training.precision=bf16 or fp32; got fp16")
        if parallel == "fsdp" and optimizer not in ("adamw", "adam"):
            raise ValueError(f"expected ddp, as fsdp needs training.optimizer=adamw or adam; got {optimizer}")
        return parallel

    @field_validator("patience")
    @classmethod
    def _check_patience(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("evaluate_every") is None:
            raise ValueError("needs training.evaluate_every")
        return patience

    @field_validator("ema_decay")
    @classmethod
    def _check_ema_decay(cls, ema: Any) -> Any:
        if isinstance(ema, tuple) and len(set(ema)) < len(ema):
            raise ValueError(f"expected distinct decays; got {', '.join(map(str, ema))}")
        return ema

    @property
    def decays(self) -> tuple[float, ...]:
        """The decays of all averaged weights; empty for none."""
        if self.ema_decay is None:
            return ()
        return self.ema_decay if isinstance(self.ema_decay, tuple) else (self.ema_decay,)

"""The contract of samplers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.diffusion.denoiser import Denoiser
    from noisette.diffusion.noise import Noise
    from noisette.diffusion.spacing import Spacing
else:
    from noisette.diffusion.spacing import Spacing

__all__ = ["Sampler"]


class Sampler(Plugin):
    """A walk from noise to an image.

    A sampler sees a denoiser, a start and a source of noise, and nothing else: no guidance, clipping, labels,
    seeds or batches. Those are wrapped round the denoiser by core, so every sampler has them; `guidance_scale` and
    `dynamic_threshold` are options of every sampler that core reads.

    Class attributes:
        order: how the error falls with the number of steps, for the deterministic part: error ~ steps^-order.
        stochastic: whether it draws noise at its default options.
        needs_even_steps: whether `order` holds only where all steps are equally long; on uneven ones it is 1.
        linear_exact: whether the linear part of a step is solved exactly, so that a law of a single image is met in
            any number of steps. False for Euler-Maruyama; the error then falls as `order` says.
        bias: error of the variance, as a share of it, that stays however many steps there are, such as 0.05 of
            unadjusted Langevin steps; 0 for a method that tends to the law.
        renoises: whether it adds noise to go back to noisier levels on its way (churn, restart).
        adaptive: whether it chooses its levels and their number on its way; `network_calls` is then an
            estimate, within a factor of 10 for walks of 5 steps or more.
        variants: options that make another method of it, worth a line of its own beside the default one where
            samplers are compared, such as ``({"variance": "fixed-large"},)``.
    """

    kind: ClassVar[str] = "sampler"
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = False
    needs_even_steps: ClassVar[bool] = False
    linear_exact: ClassVar[bool] = True
    bias: ClassVar[float] = 0.0
    renoises: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    steps: PositiveInt = Field(50, description="steps of the walk; fewer is faster")
    spacing: Spacing = Field("linspace", description="how the steps are spread over the T trained ones")
    guidance_scale: float = Field(
        1.0, ge=0, description="scale of classifier-free guidance, the paper's w + 1; 1 is off; applied by core"
    )
    guidance_interval: tuple[NonNegativeInt, NonNegativeInt] | None = Field(
        None,
        description="first and last step that are guided, such as [800, 200]; null guides all; applied by core",
    )
    dynamic_threshold: float | None = Field(
        None, gt=0, le=1, description="quantile of dynamic thresholding, such as 0.995; null clips; applied by core"
    )

    @field_validator("guidance_interval")
    @classmethod
    def _descends(cls, interval: tuple[int, int] | None) -> tuple[int, int] | None:
        if interval is not None and interval[0] < interval[1]:
            raise ValueError(f"expected the first step before the last, as walks descend; got {list(interval)}")
        return interval

    @abstractmethod
    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x after each step; the last one is the image.

        Args:
            denoise: call `denoise(x, t)` for a `Prediction`; `denoise.schedule` has the tables, and
                `denoise.schedule.timesteps(self.steps, self.spacing)` the descending steps of the walk,
                which end at -1, the clean image.
            x: where the walk starts, (N, C, H, W): noise at the first of the steps. It is not changed.
            noise: call `noise()` for fresh standard normal noise of x's shape.
        """

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance changes its predictions."""
        return self.guidance_scale != 1

    @property
    def needs_learned_variance(self) -> bool:
        """Whether `Prediction.fractions` must be there: core then refuses networks that learned no variance."""
        return False

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return how often the denoiser is called in a walk of `steps` steps.

        Args:
            steps: the length of the walk.
            from_noise: whether alpha is 0 at its first step (zero terminal signal), from which no rule in
                sigma / alpha can step: some methods call less often there.
        """
        return steps

    @property
    def label(self) -> str:
        """A short name that tells this sampler from its neighbours in a table, such as ``ddim-50``.

        It says the length of the walk and every option that is not the default.
        """
        steps = self.steps if isinstance(self.spacing, str) else len(self.spacing)
        changed = {
            key: getattr(self, key)
            for key, field in type(self).model_fields.items()
            if key != "steps" and getattr(self, key) != field.get_default(call_default_factory=True)
        }
        return "-".join([self.name, str(steps), *(f"{key}={_brief(changed[key])}" for key in sorted(changed))])


def _brief(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

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
    """A method that leads from noise to images.

    A sampler gets a denoiser, the first state and a source of noise. Guidance, clipping and labels are part of the
    denoiser, so that every sampler supports them: the core reads the options `guidance_scale`, `guidance_interval`
    and `dynamic_threshold` of any sampler. Seeds and batches are the caller's.

    Class attributes:
        order: order of convergence of the deterministic part: error ~ steps^-order.
        stochastic: whether it draws noise at its default options.
        needs_even_steps: whether `order` holds only for steps of equal length; it is 1 for others.
        linear_exact: whether the linear part of a step is solved exactly, so that the distribution of a single
            image is exact for any number of steps. False for Euler-Maruyama; the error then falls with `order`.
        bias: relative error of the variance that remains for any number of steps, such as 0.05 for unadjusted
            Langevin steps; 0 for a method that converges to the distribution.
        renoises: whether it adds noise to return to higher noise levels (churn, restart).
        adaptive: whether it chooses its noise levels and their number while sampling; `network_calls` is then an
            estimate, within a factor of 10 for 5 steps or more.
        variants: options that make it another method, which comparisons of samplers list besides the default, such
            as ``({"variance": "fixed-large"},)``.
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

    steps: PositiveInt = Field(50, description="number of sampling steps; fewer are faster")
    spacing: Spacing = Field("linspace", description="how the steps are spread over the T trained timesteps")
    guidance_scale: float = Field(
        1.0, ge=0, description="scale of classifier-free guidance, the paper's w + 1; 1 is off"
    )
    guidance_interval: tuple[NonNegativeInt, NonNegativeInt] | None = Field(
        None,
        description="first and last guided timestep, such as [800, 200]; null guides all",
    )
    dynamic_threshold: float | None = Field(
        None, gt=0, le=1, description="quantile of dynamic thresholding, such as 0.995; null clips to [-1, 1]"
    )

    @field_validator("guidance_interval")
    @classmethod
    def _check_interval(cls, interval: tuple[int, int] | None) -> tuple[int, int] | None:
        if interval is not None and interval[0] < interval[1]:
            raise ValueError(f"expected descending timesteps, such as [800, 200]; got {list(interval)}")
        return interval

    @abstractmethod
    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x after each step; the last one is the image.

        Args:
            denoise: `denoise(x, t)` returns a `Prediction`; `denoise.process` is the forward process, and
                `denoise.process.timesteps(self.steps, self.spacing)` the descending timesteps, which end at -1, the
                clean image.
            x: the first state, (N, C, H, W), at the noise level of the first timestep. It must not be changed.
            noise: `noise()` returns fresh standard normal noise of x's shape.
        """

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance is on."""
        return self.guidance_scale != 1

    @property
    def needs_learned_variance(self) -> bool:
        """Whether it needs `Prediction.variance_fraction`, and thus a network that learned the variance."""
        return False

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return the number of denoiser calls in `steps` steps.

        Args:
            steps: number of sampling steps.
            from_noise: whether alpha is 0 at the first timestep (zero terminal SNR), where methods in sigma / alpha
                may call the denoiser less often.
        """
        return steps

    @property
    def label(self) -> str:
        """A short name for tables and directories, such as ``ddim-50``.

        It consists of the name, the number of steps and every option that is not the default.
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

"""Pseudo numerical methods (PNDM): a linear multistep rule for the predicted noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise, Process

__all__ = ["PNDM"]

_ADAMS_BASHFORTH = {2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}


class PNDM(Sampler):
    """The Adams-Bashforth rule for the predicted noise, with the transfer of DDIM.

        x_s = (alpha_s / alpha_t) x_t + (sigma_s - (alpha_s / alpha_t) sigma_t) e
        e = (55 eps_t - 59 eps_1 + 37 eps_2 - 9 eps_3) / 24

    with eps_1 to eps_3 of the three steps before. The first three steps have no such history; they use the pseudo
    Runge-Kutta rule (F-PNDM, four network calls a step), or the improved Euler rule and then lower orders (S-PNDM,
    one more call in all).

    A few steps from almost pure noise diverge: a step multiplies x by alpha_s / alpha_t, up to 1e4 at the first
    step under cosine and sigmoid, and with it the error of the extrapolated noise. Clipping x0 does not help, and
    neither does ``spacing: trailing``. Take 20 steps or more (50 with the Runge-Kutta warm-up) or
    ``spacing: leading``, which begins later; or DPM-Solver++ or UniPC, which extrapolate x0 instead.
    """

    name: ClassVar[str] = "pndm"
    aliases: ClassVar[tuple[str, ...]] = ("plms",)
    paper: ClassVar[str] = "Liu, Ren, Lin & Zhao 2022, eq. 12 to 14 and algorithm 2"
    order: ClassVar[int] = 2
    needs_even_steps: ClassVar[bool] = True
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({"spacing": "trailing"},)

    warmup: Literal["euler", "runge-kutta"] = Field("euler", description="rule of the first three steps")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Yield x_s after each step."""
        process = denoise.process
        eps_history: list[Tensor] = []
        for number, (t, s) in enumerate(pairwise(process.timesteps(self.steps, self.spacing))):
            pred_t = denoise(x, t)
            eps_history = [pred_t.eps, *eps_history][:4]
            if s < 0 or process(t)[0] == 0:
                alpha_s, sigma_s = process(s)
                eps = _extrapolate(eps_history)
                x = (
                    _transfer(process, x, eps, t, s)
                    if process(t)[0]
                    else alpha_s * pred_t.x0 + sigma_s * pred_t.eps
                )
            elif self.warmup == "runge-kutta" and number < 3:
                x = _transfer(process, x, _runge_kutta(denoise, x, pred_t.eps, t, s), t, s)
            elif number == 0:
                eps_s = denoise(_transfer(process, x, pred_t.eps, t, s), s).eps
                x = _transfer(process, x, (pred_t.eps + eps_s) / 2, t, s)
            else:
                x = _transfer(process, x, _extrapolate(eps_history), t, s)
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return one call a step plus those of the warm-up, which skips the last step and pure noise."""
        warmup_steps, extra_calls = (3, 3) if self.warmup == "runge-kutta" else (1, 1)
        return steps + max(min(warmup_steps, steps - 1) - from_noise, 0) * extra_calls


def _transfer(process: Process, x: Tensor, eps: Tensor, t: int, s: int) -> Tensor:
    """Return x_s, moved from x_t along eps as DDIM does (eq. 11)."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
    ratio = alpha_s / alpha_t
    return ratio * x + (sigma_s - ratio * sigma_t) * eps


def _extrapolate(eps_history: list[Tensor]) -> Tensor:
    """Extrapolate the predicted noise, the newest first (eq. 12)."""
    if len(eps_history) == 1:
        return eps_history[0]
    weights = _ADAMS_BASHFORTH[len(eps_history)]
    total = weights[0] * eps_history[0]
    for weight, eps in zip(weights[1:], eps_history[1:], strict=True):
        total = total + weight * eps
    return total


def _runge_kutta(denoise: Denoiser, x: Tensor, eps: Tensor, t: int, s: int) -> Tensor:
    """Return the noise of the pseudo Runge-Kutta rule over one step (eq. 13)."""
    process, middle = denoise.process, (t + s) // 2
    second = denoise(_transfer(process, x, eps, t, middle), middle).eps
    third = denoise(_transfer(process, x, second, t, middle), middle).eps
    fourth = denoise(_transfer(process, x, third, t, s), s).eps
    return (eps + 2 * second + 2 * third + fourth) / 6

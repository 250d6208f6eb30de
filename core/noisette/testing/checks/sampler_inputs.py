"""What a sampler takes its numbers from: `noise()`, the denoiser, its own options, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser, Noise, Prediction, Process
from noisette.testing import processes
from noisette.testing.check import fail, for_method, require
from noisette.testing.checks.samplers import COMMON, with_steps
from noisette.testing.exact import AffineDenoiser
from noisette.testing.noises import BatchNoise, CountedNoise
from noisette.testing.options import alternatives, combinations, with_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import initial_noise, is_bit_equal, require_state, run_sampler, seed_globally

_SHAPE = (3, 4, 5)


def check_noise_comes_from_the_source(plugin: Sampler) -> None:
    """All random numbers are those of `noise()`: where it gives zeros, equal images stay equal in every bit."""
    for sampler in combinations(with_steps(plugin, 5), beside=COMMON):
        x = initial_noise(1, _SHAPE).expand(3, *_SHAPE).clone()
        with seed_globally(1):
            first = run_sampler(sampler, AffineDenoiser(processes.linear()), x, CountedNoise(x))[-1]
        with seed_globally(2):
            second = run_sampler(sampler, AffineDenoiser(processes.linear()), x, CountedNoise(x))[-1]
        actual = "others beside them: x and noise() were the same for three images, which differ"
        what, own = "random numbers of a walk", "noise of its own"
        require(
            is_bit_equal(first, first[:1].expand_as(first)), sampler, what, "those of noise()", actual, cause=own
        )
        actual = "another: it keeps something of the walk before, or draws random numbers that are not noise()"
        require(
            is_bit_equal(first, second), sampler, "a second walk from the same x and noise()", "the same", actual
        )


def check_no_digits_are_lost(plugin: Sampler) -> None:
    """In float32 each state before the clean one has six right digits, also where little noise is left.

    Under a denoiser that sees 0 in everything, states are noise that shrinks, whose digits no image hides: 1 -
    alpha² in float32 has three right ones at the last steps.
    """
    levels = (999, 600, 300, 150, 80, 40, 20, 10, 6, 4, 3, 2, 1, 0)
    uneven = with_options(plugin, steps=len(levels), spacing=levels)
    for sampler in combinations(with_steps(plugin, 20) if plugin.needs_even_steps else uneven, beside=COMMON):
        x = initial_noise(4, _SHAPE, torch.float32)
        walks = [
            run_sampler(sampler, _ZeroDenoiser(processes.linear()), y, BatchNoise(0, x if y is x else y))
            for y in (x, x.double())
        ]
        for number, (single, double) in enumerate(list(zip(*walks, strict=False))[:-1]):
            error = float((single.double() - double).abs().max() / double.abs().max().clamp(min=1e-30))
            require(error < 1e-4, sampler, f"relative error of state {number} in float32", "at most 1e-4", error)


def check_trajectories_do_not_meet(plugin: Sampler) -> None:
    """A walk has the same bits after other walks, beside another one, and after one that was given up."""
    process = processes.linear()
    long, short = with_steps(plugin, 6), with_steps(plugin, 3)
    x, other = initial_noise(2, _SHAPE), -initial_noise(2, _SHAPE)
    alone = run_sampler(long, AffineDenoiser(process), x, BatchNoise(1, x))[-1]
    with torch.no_grad():
        given_up = iter(short.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
        for _, _state in zip(range(2), given_up, strict=False):
            pass
    after = run_sampler(long, AffineDenoiser(process), x, BatchNoise(1, x))[-1]
    require(
        is_bit_equal(after, alone),
        plugin,
        "a walk after another, given up one",
        "the same bits",
        _apart(after, alone),
    )
    beside = _run_interleaved(long, x, other)
    require(
        is_bit_equal(beside, alone), plugin, "a walk beside another one", "the same bits", _apart(beside, alone)
    )


def check_hard_images_beside_easy_ones(plugin: Sampler) -> None:
    """An image has the same bits alone as beside others that are thousands of times farther from the mean.

    The levels of a sampler that is declared `adaptive` may depend on the batch: each of its images agrees to a
    tenth of its own distance from the mean. A largest error of the batch leaves easy images half as far again.
    """
    far = torch.tensor([1e-3, 0.03, 0.3, 1.0, 30.0], dtype=torch.float64).view(-1, 1, 1, 1)
    x = far * initial_noise(len(far), _SHAPE)
    for sampler in combinations(with_steps(plugin, 6), beside=COMMON, most=8):
        whole = _sample_with_own_noise(sampler, x, range(len(x)))
        for i in range(len(x)):
            actual, expected = whole[i : i + 1], _sample_with_own_noise(sampler, x[i : i + 1], range(i, i + 1))
            limit = 0.1 * float((expected - AffineDenoiser.MEAN).abs().max()) if sampler.adaptive else 0.0
            near = float((actual - expected).abs().max()) <= limit
            what = f"image {i} of {len(x)}, which are 0.001 to 30 times as far from the mean as usual"
            require(near, sampler, what, f"that drawn alone, within {limit:.2g}", _apart(actual, expected))


def check_however_x_lies_in_memory(plugin: Sampler) -> None:
    """An x whose channels lie last, or with gaps between its values, is drawn to the same image, to 1e-9."""
    sampler, x = with_steps(plugin, 5), initial_noise(2, _SHAPE)
    expected = run_sampler(sampler, AffineDenoiser(processes.linear()), x, BatchNoise(3, x))[-1]
    apart = torch.stack([x, x], dim=-1)[..., 0]
    for what, other in (("channels last", x.contiguous(memory_format=torch.channels_last)), ("with gaps", apart)):
        with torch.no_grad():
            *_, actual = sampler.trajectory(AffineDenoiser(processes.linear()), other, BatchNoise(3, x))
        near = actual.shape == x.shape and bool(((actual - expected).abs() < 1e-9).all())
        require(near, plugin, f"image of an x that lies {what} in memory", "the same", "another")


def check_denoiser_is_given_the_batch(plugin: Sampler) -> None:
    """The denoiser is called with all images of the batch in their order: labels and hints are theirs."""
    for sampler in combinations(with_steps(plugin, 5), beside=COMMON):
        x = initial_noise(3, _SHAPE, torch.float32)
        given = _InputRecorder(AffineDenoiser(processes.linear()))
        run_sampler(sampler, given, x, BatchNoise(0, x))
        for shape, dtype, step in given.calls:
            require(shape == tuple(x.shape), sampler, "shape of x for the denoiser", tuple(x.shape), shape)
            require(dtype == x.dtype, sampler, "dtype of x for the denoiser", x.dtype, dtype)
            require(step == "int", sampler, "type of t for the denoiser", "int", step)


def check_learned_variance_as_declared(plugin: Sampler) -> None:
    """`needs_learned_variance` says whether the walk reads `Prediction.variance_fraction`, for every option."""
    x = initial_noise(2, _SHAPE)
    for sampler in combinations(with_steps(plugin, 5), beside=COMMON):
        what = "needs_learned_variance"
        if sampler.needs_learned_variance:
            ends = [
                run_sampler(sampler, _LearnedVarianceDenoiser(processes.linear(), told), x, BatchNoise(0, x))[-1]
                for told in (0.2, 0.8)
            ]
            require(not is_bit_equal(*ends), sampler, what, "False, as no variance is read", True)
            continue
        try:
            end = run_sampler(sampler, _LearnedVarianceDenoiser(processes.linear(), None), x, BatchNoise(0, x))[-1]
        except Exception as error:
            _run_again(sampler, x)
            fail(
                sampler, what, "True, as `variance_fraction` is read", f"False, and {type(error).__name__}: {error}"
            )
        full = run_sampler(sampler, _LearnedVarianceDenoiser(processes.linear(), 0.5), x, BatchNoise(0, x))[-1]
        require(is_bit_equal(end, full), sampler, what, "True, as the learned variance has an effect", False)


@for_method("label")
def check_label_tells_options_apart(plugin: Sampler) -> None:
    """Each option that is not the default is in the `label`: results of two samplers never share a row."""
    others = [other for tried in alternatives(plugin).values() for other in tried]
    for other in [*others, with_options(plugin, steps=plugin.steps + 1)]:
        require(bool(other.label), other, "label", "a name", repr(other.label))
        require(
            other.label != plugin.label, other, "label", f"another than {plugin.label!r}, of {plugin!r}", "the same"
        )


def check_same_in_another_process(plugin: Sampler) -> None:
    """Another process, in which strings have other hashes, draws the same image from one seed, to 1e-9."""
    here, there = process_fingerprint(plugin), run_in_other_process(plugin, __name__, "process_fingerprint")
    near = len(here) == len(there) and all(abs(a - b) <= 1e-9 for a, b in zip(here, there, strict=True))
    require(near, plugin, "image drawn in two processes", here[:3], there[:3])


def process_fingerprint(plugin: Sampler) -> list[float]:
    """Return the values of an image that is drawn from a seed."""
    x = initial_noise(1, _SHAPE)
    end: list[float] = (
        run_sampler(with_steps(plugin, 5), AffineDenoiser(processes.linear()), x, BatchNoise(3, x))[-1]
        .flatten()
        .tolist()
    )
    return end


class _InputRecorder(Denoiser):
    """A denoiser that notes the shape and dtype of x and the type of t of each call."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise, self.process = denoise, denoise.process
        self.calls: list[tuple[tuple[int, ...], torch.dtype, str]] = []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Note the call and ask the denoiser within."""
        self.calls.append((tuple(x_t.shape), x_t.dtype, "int" if isinstance(t, int) else type(t).__name__))
        return self.denoise(x_t, t)


class _ZeroDenoiser(Denoiser):
    """The exact denoiser of images that are 0 everywhere."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return x0 = 0 and all of x_t as noise."""
        alpha, sigma = self.process(t)
        return Prediction(
            x_t, alpha, sigma, x0=torch.zeros_like(x_t), eps=x_t / sigma, variance_fraction=torch.ones_like(x_t)
        )


class _LearnedVarianceDenoiser(AffineDenoiser):
    """A denoiser that tells one fraction everywhere, or none."""

    def __init__(self, process: Process, fraction: float | None) -> None:
        super().__init__(process)
        self.fraction = fraction

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the prediction with that fraction."""
        prediction = super().__call__(x_t, t)
        prediction.variance_fraction = None if self.fraction is None else torch.full_like(x_t, self.fraction)
        return prediction


def _sample_with_own_noise(sampler: Sampler, x: Tensor, indices: range) -> Tensor:
    return run_sampler(sampler, AffineDenoiser(processes.linear()), x, Noise(7, indices, _SHAPE))[-1]


def _run_again(sampler: Sampler, x: Tensor) -> None:
    """Walk with fractions: an error that comes then too is none of theirs."""
    run_sampler(sampler, _LearnedVarianceDenoiser(processes.linear(), 0.5), x, BatchNoise(0, x))


def _run_interleaved(sampler: Sampler, x: Tensor, other: Tensor) -> Tensor:
    """Return the end of a walk from x whose steps are taken in turn with those of a walk from `other`."""
    process, end = processes.linear(), x
    beside = iter(sampler.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
    with torch.no_grad():
        for end in sampler.trajectory(AffineDenoiser(process), x, BatchNoise(1, x)):
            next(beside, None)
            require_state(sampler, end, x, "state of a walk beside another one")
    return end


def _apart(a: Tensor, b: Tensor) -> str:
    return f"values up to {float((a - b).abs().max()):.2g} apart"

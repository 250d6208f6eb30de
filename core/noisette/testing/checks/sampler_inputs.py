"""Whether a sampler depends only on `noise()`, the denoiser and its options, and leaves no noise in the image."""

from __future__ import annotations

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Clipped, Denoiser, Noise, Prediction, Process
from noisette.testing.check import Skip, fail, for_method, require
from noisette.testing.checks.samplers import _SHAPE, COMMON, describe_difference, sample, with_steps
from noisette.testing.options import combinations, format_plugin, iter_alternatives, with_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import (
    is_bit_equal,
    iter_layouts,
    require_same_bits,
    require_same_random_state,
    seed_globally,
)
from noisette.testing.trajectories import (
    AffineDenoiser,
    BatchNoise,
    CallRecorder,
    CountedNoise,
    SwitchableNoise,
    initial_noise,
    linear_process,
    require_state,
    run_sampler,
)


def check_noise_comes_from_the_source(plugin: Sampler) -> None:
    """All random numbers come from `noise()`: if it returns zeros, equal images stay equal in every bit."""
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        x, ends = initial_noise(1, _SHAPE).expand(3, *_SHAPE).clone(), []
        for seed in (1, 2):
            with seed_globally(seed):
                ends.append(run_sampler(sampler, AffineDenoiser(linear_process()), x, CountedNoise(x))[-1])
        equal = is_bit_equal(ends[0], ends[0][:1].expand_as(x))
        actual = "others too: x and noise() are equal for three images, but the results differ"
        require(equal, sampler, "random numbers", "only those of noise()", actual, cause="own noise")
        actual = "different: state is kept between trajectories, or random numbers do not come from noise()"
        require(is_bit_equal(*ends), sampler, "second result from the same x and noise()", "the same", actual)


def check_keeps_float32_precision(plugin: Sampler) -> None:
    """In float32 every state before the clean one has a relative error below 1e-4, also with little noise left.

    Under a denoiser that predicts x0 = 0 the states are shrinking noise, which no image hides. For example, 1 -
    alpha² in float32 has three correct digits at the last timesteps.
    """
    levels = (999, 600, 300, 150, 80, 40, 20, 10, 6, 4, 3, 2, 1, 0)
    uneven = with_options(plugin, steps=len(levels), spacing=levels)
    for sampler in combinations(with_steps(plugin, 20) if plugin.needs_even_steps else uneven, exclude=COMMON):
        x = initial_noise(4, _SHAPE, torch.float32)
        trajectories = [
            run_sampler(sampler, _ZeroDenoiser(linear_process()), y, BatchNoise(0, x if y is x else y))
            for y in (x, x.double())
        ]
        for number, (single, double) in enumerate(list(zip(*trajectories, strict=False))[:-1]):
            error = float((single.double() - double).abs().max() / double.abs().max().clamp(min=1e-30))
            require(error < 1e-4, sampler, f"relative error of state {number} in float32", "at most 1e-4", error)


def check_trajectories_are_independent(plugin: Sampler) -> None:
    """A trajectory is not changed by others: earlier, abandoned or interleaved ones."""
    process = linear_process()
    long, short = with_steps(plugin, 6), with_steps(plugin, 3)
    x, other = initial_noise(2, _SHAPE), -initial_noise(2, _SHAPE)
    alone = sample(long, x, seed=1)
    with torch.no_grad():
        given_up = iter(short.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
        for _, _state in zip(range(2), given_up, strict=False):
            pass
    require_same_bits(plugin, "result after an abandoned trajectory", alone, sample(long, x, seed=1))
    require_same_bits(plugin, "result of interleaved trajectories", alone, _run_interleaved(long, x, other))


def check_easy_and_hard_images_in_one_batch(plugin: Sampler) -> None:
    """An image has the same bits alone and in a batch with others thousands of times farther from the mean.

    The timesteps of an `adaptive` sampler may depend on the batch: its images agree to a tenth of their distance
    from the mean. Step sizes from the largest error of the batch are too large for easy images.
    """
    far = torch.tensor([1e-3, 0.03, 0.3, 1.0, 30.0], dtype=torch.float64).view(-1, 1, 1, 1)
    x = far * initial_noise(len(far), _SHAPE)
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON, most=8):
        whole = _sample_with_own_noise(sampler, x, range(len(x)))
        for i in range(len(x)):
            actual, expected = whole[i : i + 1], _sample_with_own_noise(sampler, x[i : i + 1], range(i, i + 1))
            limit = 0.1 * float((expected - AffineDenoiser.MEAN).abs().max()) if sampler.adaptive else 0.0
            near, difference = (
                float((actual - expected).abs().max()) <= limit,
                describe_difference(actual, expected),
            )
            what = f"image {i} of {len(x)}, at 0.001 to 30 times the usual distance from the mean"
            require(near, sampler, what, f"that sampled alone, within {limit:.2g}", difference)


def check_any_memory_layout(plugin: Sampler) -> None:
    """x in channels-last format, or not contiguous, gives the same image, to 1e-9."""
    sampler, x = with_steps(plugin, 5), initial_noise(2, _SHAPE)
    expected = sample(sampler, x, seed=3)
    for layout, other in iter_layouts(x):
        with torch.no_grad():
            *_, actual = sampler.trajectory(AffineDenoiser(linear_process()), other, BatchNoise(3, x))
        near = actual.shape == x.shape and bool(((actual - expected).abs() < 1e-9).all())
        require(near, plugin, f"image from an x that lies {layout} in memory", "the same", "different")


def check_denoiser_gets_the_whole_batch(plugin: Sampler) -> None:
    """The denoiser is called with the whole batch in order, as labels and conditioning belong to its images."""
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        x = initial_noise(3, _SHAPE, torch.float32)
        given = CallRecorder(AffineDenoiser(linear_process()), keep=True)
        run_sampler(sampler, given, x, BatchNoise(0, x))
        for (x_t, _), t in zip(given.records[::3], given.steps, strict=True):
            for what in ("shape", "dtype"):
                expected, actual = getattr(x, what), getattr(x_t, what)
                require(actual == expected, sampler, f"{what} of x for the denoiser", expected, actual)
            require(isinstance(t, int), sampler, "type of t for the denoiser", "int", type(t).__name__)


def check_learned_variance_as_declared(plugin: Sampler) -> None:
    """`needs_learned_variance` declares whether `Prediction.variance_fraction` is read, for every option."""
    x = initial_noise(2, _SHAPE)
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        what = "needs_learned_variance"
        if sampler.needs_learned_variance:
            ends = [_sample_with_fraction(sampler, x, fraction) for fraction in (0.2, 0.8)]
            require(not is_bit_equal(*ends), sampler, what, "False, as the learned variance has no effect", True)
            continue
        try:
            end = _sample_with_fraction(sampler, x, None)
        except Exception as error:
            _sample_with_fraction(sampler, x, 0.5)  # an error that occurs here too has another cause
            actual = f"False, and {type(error).__name__}: {error}"
            fail(sampler, what, "True, as `variance_fraction` is read", actual)
        same = is_bit_equal(end, _sample_with_fraction(sampler, x, 0.5))
        require(same, sampler, what, "True, as the learned variance has an effect", False)


@for_method("label")
def check_label_distinguishes_options(plugin: Sampler) -> None:
    """Every option that is not the default changes the `label`, which identifies a row of results."""
    for other in [*iter_alternatives(plugin), with_options(plugin, steps=plugin.steps + 1)]:
        require(bool(other.label), other, "label", "a name", repr(other.label))
        wanted = f"different from {plugin.label!r}, the label of {plugin!r}"
        require(other.label != plugin.label, other, "label", wanted, "the same")


def check_same_in_another_process(plugin: Sampler) -> None:
    """Another process, with other hashes of strings, gives the same image from the same seed, to 1e-9."""
    here, there = process_fingerprint(plugin), run_in_other_process(plugin, __name__, "process_fingerprint")
    near = len(here) == len(there) and all(abs(a - b) <= 1e-9 for a, b in zip(here, there, strict=True))
    require(near, plugin, "image in another process", here[:3], there[:3])


def check_leaves_global_random_state_alone(plugin: Sampler) -> None:
    """The global generators of torch, NumPy and Python are not used or seeded."""
    for sampler in combinations(with_steps(plugin, 4), exclude=COMMON):
        x = initial_noise(2, _SHAPE)
        with require_same_random_state(sampler, "a trajectory"):
            run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(0, x))


def check_same_seed_same_bits(plugin: Sampler) -> None:
    """The same seed gives the same bits, for any state of the global generators; another does not."""
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        ends = []
        for seed in (1, 2):
            with seed_globally(seed):
                ends.append(_sample_images(sampler, 7, range(3)))
        require_same_bits(sampler, "two results with the same seed", ends[0], ends[1])
        differ = not is_bit_equal(ends[0], _sample_images(sampler, 8, range(3)))
        require(differ, sampler, "results with different seeds", "different images", "the same bits")


def check_any_batch_and_split_same_bits(plugin: Sampler) -> None:
    """Image i has the same bits in any batch: all images, a half, alone, or in another order.

    The denoiser is made of sums and products alone, so that nothing but the sampler can mix images. The levels of
    a sampler that is declared `adaptive` may depend on the batch: its images agree to 0.05.
    """
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        whole = _sample_images(sampler, 7, range(5))
        for split in ([[0, 1], [2, 3, 4]], [[0], [1], [2], [3], [4]], [[4, 3, 2, 1, 0]]):
            actual = torch.cat([_sample_images(sampler, 7, part) for part in split])
            expected = whole[[index for part in split for index in part]]
            what = f"images sampled in batches {split}"
            if not sampler.adaptive:
                require_same_bits(sampler, what, expected, actual, "the same bits as in one batch")
                continue
            near, difference = bool(((actual - expected).abs() < 0.05).all()), describe_difference(actual, expected)
            require(near, sampler, what, "those of one batch, within 0.05", difference)


def check_last_step_adds_no_noise(plugin: Sampler) -> None:
    """The image does not depend on what the noise source gives in the last step.

    Where a sampler `renoises`, that noise may change what the denoiser sees, but not be left in the image: with
    a denoiser that sees 0 in everything, all images are 0 within 1e-9.
    """
    for sampler in combinations(plugin, exclude=COMMON):
        for steps in (1, 2, 8):
            candidate = with_steps(sampler, steps)
            if plugin.renoises:
                x = initial_noise(2, (1, 1, 2))
                end = run_sampler(candidate, _ZeroDenoiser(linear_process()), x, BatchNoise(0, x))[-1]
                left = float(end.abs().max())
                require(left < 1e-9, candidate, "noise left in the image", "none", left)
                continue
            first, second = (_with_last_noise(candidate, seed) for seed in (1, 2))
            require_same_bits(
                candidate, "result with other noise in the last step", first, second, "the same image"
            )


def check_stochastic_as_declared(plugin: Sampler) -> None:
    """`stochastic` declares whether the image depends on noise with default options."""
    try:
        sampler = with_steps(type(plugin)(), 8)
    except ValidationError as error:
        raise Skip(f"{format_plugin(plugin)}: `stochastic` is declared for default options; it has none") from error
    x = initial_noise(2, _SHAPE)
    actual = not is_bit_equal(*(sample(sampler, x, seed) for seed in (1, 2)))
    require(actual == sampler.stochastic, sampler, "stochastic", f"{sampler.stochastic}, as declared", actual)


def process_fingerprint(plugin: Sampler) -> list[float]:
    """Return the values of an image sampled from a fixed seed."""
    end: list[float] = sample(with_steps(plugin, 5), initial_noise(1, _SHAPE), seed=3).flatten().tolist()
    return end


class _ZeroDenoiser(Denoiser):
    """The exact denoiser of images of zeros."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        alpha, sigma = self.process(t)
        return Prediction(
            x_t, alpha, sigma, x0=torch.zeros_like(x_t), eps=x_t / sigma, variance_fraction=torch.ones_like(x_t)
        )


class _LearnedVarianceDenoiser(AffineDenoiser):
    """A denoiser with a constant variance fraction, or none."""

    def __init__(self, process: Process, fraction: float | None) -> None:
        super().__init__(process)
        self.fraction = fraction

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        prediction = super().__call__(x_t, t)
        prediction.variance_fraction = None if self.fraction is None else torch.full_like(x_t, self.fraction)
        return prediction


def _sample_with_own_noise(sampler: Sampler, x: Tensor, indices: range) -> Tensor:
    return run_sampler(sampler, AffineDenoiser(linear_process()), x, Noise(7, indices, _SHAPE))[-1]


def _sample_with_fraction(sampler: Sampler, x: Tensor, fraction: float | None) -> Tensor:
    return run_sampler(sampler, _LearnedVarianceDenoiser(linear_process(), fraction), x, BatchNoise(0, x))[-1]


def _run_interleaved(sampler: Sampler, x: Tensor, other: Tensor) -> Tensor:
    """Return the result from x, with steps that alternate with those of a trajectory from `other`."""
    process, end = linear_process(), x
    interleaved = iter(sampler.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
    with torch.no_grad():
        for end in sampler.trajectory(AffineDenoiser(process), x, BatchNoise(1, x)):
            next(interleaved, None)
            require_state(sampler, end, x, "state of an interleaved trajectory")
    return end


def _sample_images(sampler: Sampler, seed: int, indices: range | list[int]) -> Tensor:
    noise = Noise(seed, indices, _SHAPE)
    return run_sampler(sampler, Clipped(AffineDenoiser(linear_process())), noise(), noise)[-1]


def _with_last_noise(sampler: Sampler, seed: int) -> Tensor:
    """Sample with one noise source, and use the one of `seed` in the last step."""
    process, x = linear_process(), initial_noise(2, _SHAPE)
    count = len(run_sampler(sampler, AffineDenoiser(process), x, BatchNoise(0, x)))
    noise = SwitchableNoise(BatchNoise(0, x) if count > 1 else BatchNoise(seed, x))
    end = x
    with torch.no_grad():
        for number, state in enumerate(sampler.trajectory(AffineDenoiser(process), x, noise)):
            end = state
            if number == count - 2:
                noise.source = BatchNoise(seed, x)
    return end

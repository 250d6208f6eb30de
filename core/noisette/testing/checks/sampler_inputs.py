"""Whether a sampler depends only on `noise()`, the denoiser and its options, and leaves no noise in the image."""

from __future__ import annotations

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Clipped, Denoiser, Noise, Prediction, Process
from noisette.testing.check import Skip, fail, for_method, require
from noisette.testing.checks.samplers import _SHAPE, COMMON, _describe_error, with_steps
from noisette.testing.distributions import Gaussian
from noisette.testing.options import alternatives, combinations, format_plugin, with_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import is_bit_equal, require_same_random_state, seed_globally
from noisette.testing.trajectories import (
    AffineDenoiser,
    BatchNoise,
    CountedNoise,
    ExactDenoiser,
    SwitchableNoise,
    initial_noise,
    linear_process,
    require_state,
    run_sampler,
)


def check_noise_comes_from_the_source(plugin: Sampler) -> None:
    """All random numbers come from `noise()`: if it returns zeros, equal images stay equal in every bit."""
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        x = initial_noise(1, _SHAPE).expand(3, *_SHAPE).clone()
        with seed_globally(1):
            first = run_sampler(sampler, AffineDenoiser(linear_process()), x, CountedNoise(x))[-1]
        with seed_globally(2):
            second = run_sampler(sampler, AffineDenoiser(linear_process()), x, CountedNoise(x))[-1]
        actual = "others too: x and noise() are equal for three images, but the results differ"
        what, own = "random numbers", "own noise"
        require(
            is_bit_equal(first, first[:1].expand_as(first)),
            sampler,
            what,
            "only those of noise()",
            actual,
            cause=own,
        )
        actual = "different: state is kept between trajectories, or random numbers do not come from noise()"
        require(
            is_bit_equal(first, second),
            sampler,
            "second result from the same x and noise()",
            "the same",
            actual,
        )


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
    alone = run_sampler(long, AffineDenoiser(process), x, BatchNoise(1, x))[-1]
    with torch.no_grad():
        given_up = iter(short.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
        for _, _state in zip(range(2), given_up, strict=False):
            pass
    after = run_sampler(long, AffineDenoiser(process), x, BatchNoise(1, x))[-1]
    require(
        is_bit_equal(after, alone),
        plugin,
        "result after an abandoned trajectory",
        "the same bits",
        _apart(after, alone),
    )
    interleaved = _run_interleaved(long, x, other)
    require(
        is_bit_equal(interleaved, alone),
        plugin,
        "result of interleaved trajectories",
        "the same bits",
        _apart(interleaved, alone),
    )


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
            near = float((actual - expected).abs().max()) <= limit
            what = f"image {i} of {len(x)}, at 0.001 to 30 times the usual distance from the mean"
            require(near, sampler, what, f"that sampled alone, within {limit:.2g}", _apart(actual, expected))


def check_any_memory_layout(plugin: Sampler) -> None:
    """x in channels-last format, or not contiguous, gives the same image, to 1e-9."""
    sampler, x = with_steps(plugin, 5), initial_noise(2, _SHAPE)
    expected = run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(3, x))[-1]
    apart = torch.stack([x, x], dim=-1)[..., 0]
    for what, other in (
        ("in channels-last format", x.contiguous(memory_format=torch.channels_last)),
        ("that is not contiguous", apart),
    ):
        with torch.no_grad():
            *_, actual = sampler.trajectory(AffineDenoiser(linear_process()), other, BatchNoise(3, x))
        near = actual.shape == x.shape and bool(((actual - expected).abs() < 1e-9).all())
        require(near, plugin, f"image from x {what}", "the same", "different")


def check_denoiser_gets_the_whole_batch(plugin: Sampler) -> None:
    """The denoiser is called with the whole batch in order, as labels and conditioning belong to its images."""
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        x = initial_noise(3, _SHAPE, torch.float32)
        given = _InputRecorder(AffineDenoiser(linear_process()))
        run_sampler(sampler, given, x, BatchNoise(0, x))
        for shape, dtype, step in given.calls:
            require(shape == tuple(x.shape), sampler, "shape of x for the denoiser", tuple(x.shape), shape)
            require(dtype == x.dtype, sampler, "dtype of x for the denoiser", x.dtype, dtype)
            require(step == "int", sampler, "type of t for the denoiser", "int", step)


def check_learned_variance_as_declared(plugin: Sampler) -> None:
    """`needs_learned_variance` declares whether `Prediction.variance_fraction` is read, for every option."""
    x = initial_noise(2, _SHAPE)
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        what = "needs_learned_variance"
        if sampler.needs_learned_variance:
            ends = [
                run_sampler(sampler, _LearnedVarianceDenoiser(linear_process(), fraction), x, BatchNoise(0, x))[-1]
                for fraction in (0.2, 0.8)
            ]
            require(not is_bit_equal(*ends), sampler, what, "False, as the learned variance has no effect", True)
            continue
        try:
            end = run_sampler(sampler, _LearnedVarianceDenoiser(linear_process(), None), x, BatchNoise(0, x))[-1]
        except Exception as error:
            _run_again(sampler, x)
            fail(
                sampler, what, "True, as `variance_fraction` is read", f"False, and {type(error).__name__}: {error}"
            )
        full = run_sampler(sampler, _LearnedVarianceDenoiser(linear_process(), 0.5), x, BatchNoise(0, x))[-1]
        require(is_bit_equal(end, full), sampler, what, "True, as the learned variance has an effect", False)


@for_method("label")
def check_label_distinguishes_options(plugin: Sampler) -> None:
    """Every option that is not the default changes the `label`, which identifies a row of results."""
    others = [other for tried in alternatives(plugin).values() for other in tried]
    for other in [*others, with_options(plugin, steps=plugin.steps + 1)]:
        require(bool(other.label), other, "label", "a name", repr(other.label))
        require(
            other.label != plugin.label,
            other,
            "label",
            f"different from {plugin.label!r}, the label of {plugin!r}",
            "the same",
        )


def check_same_in_another_process(plugin: Sampler) -> None:
    """Another process, with other hashes of strings, gives the same image from the same seed, to 1e-9."""
    here, there = process_fingerprint(plugin), run_in_other_process(plugin, __name__, "process_fingerprint")
    near = len(here) == len(there) and all(abs(a - b) <= 1e-9 for a, b in zip(here, there, strict=True))
    require(near, plugin, "image in another process", here[:3], there[:3])


def process_fingerprint(plugin: Sampler) -> list[float]:
    """Return the values of an image sampled from a fixed seed."""
    x = initial_noise(1, _SHAPE)
    end: list[float] = (
        run_sampler(with_steps(plugin, 5), AffineDenoiser(linear_process()), x, BatchNoise(3, x))[-1]
        .flatten()
        .tolist()
    )
    return end


class _InputRecorder(Denoiser):
    """A denoiser that records shape and dtype of x and the type of t in each call."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise, self.process = denoise, denoise.process
        self.calls: list[tuple[tuple[int, ...], torch.dtype, str]] = []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Record the call and call the wrapped denoiser."""
        self.calls.append((tuple(x_t.shape), x_t.dtype, "int" if isinstance(t, int) else type(t).__name__))
        return self.denoise(x_t, t)


class _ZeroDenoiser(Denoiser):
    """The exact denoiser of images of zeros."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return x0 = 0 and all of x_t as noise."""
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
        """Return the prediction with that fraction."""
        prediction = super().__call__(x_t, t)
        prediction.variance_fraction = None if self.fraction is None else torch.full_like(x_t, self.fraction)
        return prediction


def _sample_with_own_noise(sampler: Sampler, x: Tensor, indices: range) -> Tensor:
    return run_sampler(sampler, AffineDenoiser(linear_process()), x, Noise(7, indices, _SHAPE))[-1]


def _run_again(sampler: Sampler, x: Tensor) -> None:
    """Sample with variance fractions: an error that occurs here too has another cause."""
    run_sampler(sampler, _LearnedVarianceDenoiser(linear_process(), 0.5), x, BatchNoise(0, x))


def _run_interleaved(sampler: Sampler, x: Tensor, other: Tensor) -> Tensor:
    """Return the result from x, with steps that alternate with those of a trajectory from `other`."""
    process, end = linear_process(), x
    interleaved = iter(sampler.trajectory(AffineDenoiser(process), other, BatchNoise(2, other)))
    with torch.no_grad():
        for end in sampler.trajectory(AffineDenoiser(process), x, BatchNoise(1, x)):
            next(interleaved, None)
            require_state(sampler, end, x, "state of an interleaved trajectory")
    return end


def _apart(a: Tensor, b: Tensor) -> str:
    return f"values up to {float((a - b).abs().max()):.2g} apart"


def check_leaves_global_random_state_alone(plugin: Sampler) -> None:
    """The global generators of torch, NumPy and Python are not used or seeded."""
    for sampler in combinations(with_steps(plugin, 4), exclude=COMMON):
        x = initial_noise(2, _SHAPE)
        with require_same_random_state(sampler, "a trajectory"):
            run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(0, x))


def check_same_seed_same_bits(plugin: Sampler) -> None:
    """The same seed gives the same bits, for any state of the global generators; another does not."""
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        with seed_globally(1):
            first = _sample_images(sampler, 7, range(3))
        with seed_globally(2):
            second = _sample_images(sampler, 7, range(3))
        require(
            is_bit_equal(first, second),
            sampler,
            "two results with the same seed",
            "the same bits",
            _describe_error(first, second),
        )
        other = _sample_images(sampler, 8, range(3))
        require(
            not is_bit_equal(first, other),
            sampler,
            "results with different seeds",
            "different images",
            "the same bits",
        )


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
            if sampler.adaptive:
                near = bool(((actual - expected).abs() < 0.05).all())
                require(near, sampler, what, "those of one batch, within 0.05", _describe_error(actual, expected))
                continue
            require(
                is_bit_equal(actual, expected),
                sampler,
                what,
                "the same bits as in one batch",
                _describe_error(actual, expected),
            )


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
                end = run_sampler(
                    candidate,
                    ExactDenoiser(Gaussian([0.0, 0.0], torch.zeros(2, 2)), linear_process()),
                    x,
                    BatchNoise(0, x),
                )
                left = float(end[-1].abs().max())
                require(left < 1e-9, candidate, "noise left in the image", "none", left)
                continue
            ends = [_with_last_noise(candidate, seed) for seed in (1, 2)]
            require(
                is_bit_equal(*ends),
                candidate,
                "result with other noise in the last step",
                "the same image",
                _describe_error(*ends),
            )


def check_stochastic_as_declared(plugin: Sampler) -> None:
    """`stochastic` declares whether the image depends on noise with default options."""
    try:
        sampler = with_steps(type(plugin)(), 8)
    except ValidationError as error:
        raise Skip(f"{format_plugin(plugin)}: `stochastic` is declared for default options; it has none") from error
    x = initial_noise(2, _SHAPE)
    first, second = (
        run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(seed, x))[-1] for seed in (1, 2)
    )
    actual = not is_bit_equal(first, second)
    require(actual == sampler.stochastic, sampler, "stochastic", f"{sampler.stochastic}, as declared", actual)


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

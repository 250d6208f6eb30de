"""A share of each class put aside, the same for ever: no random numbers, and no class missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]

__all__ = ["stratified"]


def stratified(labels: Indices, held_out: int) -> tuple[Indices, Indices]:
    """Split the indices of `labels`, (N,), into those of training and `held_out` others, evenly over the classes.

    A class gives its share, rounded by largest remainder, from places spread evenly over its members. In both
    parts the classes take turns, so that the first pictures of a part have all classes in about their shares.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = _shares(np.array([len(indices) for indices in members]), held_out)
    chosen = [_spread(len(indices), share) for indices, share in zip(members, shares, strict=True)]
    train = [indices[~mask] for indices, mask in zip(members, chosen, strict=True)]
    test = [indices[mask] for indices, mask in zip(members, chosen, strict=True)]
    return _in_turns(train), _in_turns(test)


def _shares(sizes: Indices, total: int) -> Indices:
    """Divide `total` in proportion to the sizes; the largest remainders are rounded up."""
    exact = sizes * total / sizes.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    remainders = np.argsort(shares - exact, kind="stable")
    shares[remainders[: total - shares.sum()]] += 1
    return shares


def _spread(size: int, share: int) -> NDArray[np.bool_]:
    """Return a mask of `size` places with `share` of them set, as evenly as can be."""
    steps = np.arange(size + 1, dtype=np.int64) * share // size
    return np.diff(steps) > 0


def _in_turns(parts: list[Indices]) -> Indices:
    """Merge the parts so that each is spread evenly over the whole."""
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    return np.concatenate(parts)[np.argsort(places, kind="stable")]

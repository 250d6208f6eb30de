"""Sums of the variational bound over pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from noisette.diffusion.bound import bound_of
from noisette_plugins.metrics.views import curve_state, judged, note, spans, totals, views

if TYPE_CHECKING:
    from noisette import Batch
    from noisette.contracts.metric import State

__all__ = ["bound_sums"]


def bound_sums(
    batch: Batch, terms: int | None, variance: Literal["fixed-small", "fixed-large"], *, clip: bool
) -> State:
    """Return sums of the bound, L_T, L_1 to L_T-1 and L_0 over the pictures of a batch, in bits per dimension.

    The first step stands alone, whatever the number of terms: its term is of another kind, and the largest.
    """
    model = judged(batch)
    timesteps, bound = len(model.tables), bound_of(model.tables, variance)
    parts = torch.zeros(len(batch.pictures), 4, dtype=torch.float64)
    state = curve_state(timesteps)
    later = None if terms is None else max(terms - 1, 1)
    for view in views(model, batch, [(0, 1), *spans(1, timesteps, later)]):
        seen = model.objective.read(view.output, view.x_t, view.t, model.tables)
        x0 = seen.x0.clamp(-1, 1) if clip else seen.x0
        bits = bound.terms(view.x0, view.t, x0, seen.fractions).double().cpu()
        parts[:, 3 if view.length == 1 and int(view.t[0]) == 0 else 2] += bits * view.length
        parts[:, 1] = bound.prior(view.x0).double().cpu()
        note(state, view.t, bits)
    parts[:, 0] = parts[:, 1:].sum(dim=1)
    return {**state, **totals(parts)}

"""AdamW (Loshchilov & Hutter 2019) that does not import torch's compiler.

Some methods of torch's optimizers are wrapped so that a compiler leaves them alone, and the wrapper imports that
compiler at its first call: as long as the import of torch itself, for every training. Only a compiled step would
need it, and ours is never compiled.
"""

from __future__ import annotations

from inspect import unwrap

import torch

__all__ = ["AdamW"]


class AdamW(torch.optim.AdamW):
    """The same optimizer."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from noisette.training.optimizer import AdamW

STEP = """
import sys, torch
from noisette.training.optimizer import AdamW
weight = torch.nn.Parameter(torch.ones(3))
optimizer = {kind}([weight], fused=True)
optimizer.zero_grad()
weight.sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "expected"), [("AdamW", "False"), ("torch.optim.AdamW", "True")])
def test_a_step_does_not_import_the_compiler(kind: str, expected: str) -> None:
    call = [sys.executable, "-c", STEP.format(kind=kind)]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_it_steps_as_torchs_does() -> None:
    torch.manual_seed(0)
    own, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(own.state_dict())
    options = {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.9), "fused": True}
    optimizers = AdamW(own.parameters(), **options), torch.optim.AdamW(theirs.parameters(), **options)
    for _ in range(5):
        x = torch.randn(6, 4)
        for network, optimizer in zip((own, theirs), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            network(x).square().mean().backward()
            optimizer.step()
    for ours, true in zip(own.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(ours, true)
    mine, real = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert all(torch.equal(mine[i][key], real[i][key]) for i in real for key in real[i])

"""diffusers: UNet2DModel, DDPMScheduler, AdamW and EMAModel, in the loop of its unconditional training script.

The network is noisette's own, exported: the same layers with the same first weights. The batch is ready in
memory, while noisette reads and converts its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.nn import functional as F

from noisette.training.batches import TrainingBatch

__all__ = ["DiffusersArm"]


class DiffusersArm:
    """A training of UNet2DModel.

    Args:
        folder: the exported network.
        x0: a batch of images in [-1, 1].
        bf16: train under autocast, as accelerate does for mixed_precision="bf16"; the script's default is float32.
    """

    def __init__(self, folder: Path, x0: Tensor, *, bf16: bool = False) -> None:
        self.network: nn.Module = UNet2DModel.from_pretrained(folder, low_cpu_mem_usage=False).to(x0.device).train()
        self.scheduler = DDPMScheduler(num_train_timesteps=1000)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-4, weight_decay=0.0)
        self.ema = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True)
        self.x0, self.bf16 = x0, bf16

    def step(self) -> Tensor:
        """Take a training step."""
        eps = torch.randn_like(self.x0)
        t = torch.randint(0, 1000, (len(self.x0),), device=self.x0.device)
        return self._step(self.x0, t, eps)

    def learn(self, batch: TrainingBatch) -> float:
        """Take a step with a given batch; return its loss."""
        device = self.x0.device
        return float(self._step(batch.x0.to(device), batch.t.to(device), batch.eps.to(device)))

    def _step(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        noisy = self.scheduler.add_noise(x0, eps, t)
        with torch.autocast(x0.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            loss = F.mse_loss(self.network(noisy, t).sample.float(), eps)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.network.parameters())
        return loss.detach()

    def call(self, x: Tensor, t: int) -> Tensor:
        """Call the network once, as a pipeline does."""
        with torch.no_grad():
            return self.network(x, t).sample

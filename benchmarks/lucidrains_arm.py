"""denoising-diffusion-pytorch: the inner loop of its Trainer, with its U-Net, EMA and Adam.

Its network differs from ours: it has linear attention at every other level. It is an eighth wider, to have about
the same size: 8 % fewer parameters, 6 % more work. The progress bar and accelerate of its Trainer are left out.
"""

from __future__ import annotations

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA
from torch import Tensor, nn

from benchmarks.setting import Work
from noisette.training.batches import TrainingBatch

__all__ = ["LucidrainsArm"]


class LucidrainsArm:
    """A training of its U-Net.

    Args:
        work: widths and images.
        x0: a batch of images in [-1, 1].
    """

    def __init__(self, work: Work, x0: Tensor) -> None:
        torch.manual_seed(0)
        full = (False, False, True)
        width = work.width * 9 // 8 // 4 * 4  # its waves come in pairs, its groups in fours
        self.network = Unet(width, dim_mults=(1, 2, 3), channels=work.channels, full_attn=full)
        self.diffusion = GaussianDiffusion(
            self.network, image_size=work.size, timesteps=1000, objective="pred_noise", beta_schedule="linear"
        ).to(x0.device)
        self.optimizer = torch.optim.Adam(self.diffusion.parameters(), lr=2e-4, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10).to(x0.device)
        self.x0 = x0
        self.unit = (x0 + 1) / 2

    def step(self) -> Tensor:
        """Take a training step."""
        return self._descend(self.diffusion(self.unit))

    def learn(self, batch: TrainingBatch) -> float:
        """Take a step with a given batch; return its loss."""
        device = self.x0.device
        x0, t, eps = batch.x0.to(device), batch.t.to(device), batch.eps.to(device)
        return float(self._descend(self.diffusion.p_losses(x0, t, eps)))

    def _descend(self, loss: Tensor) -> Tensor:
        loss.item()
        loss.backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()
        return loss.detach()

    def call(self, x: Tensor, t: int) -> Tensor:
        """Call the network once, as its sampling loop does."""
        with torch.inference_mode():
            return self.network(x, torch.full((len(x),), t, device=x.device, dtype=torch.long))

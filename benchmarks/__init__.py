"""Benchmarks: noisette beside diffusers and denoising-diffusion-pytorch, on the same work, in one process.

`make bench` runs all; `python -m benchmarks --only training sampling` some; `--quick` proves that they run.
"""

"""Benchmarks: noisette, diffusers and denoising-diffusion-pytorch on the same work, in one process.

`make bench` runs all; `python -m benchmarks --only training sampling` some; `--quick` checks that they run.
"""

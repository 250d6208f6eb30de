"""Proofs that the shipped recipes compute what their originals compute."""

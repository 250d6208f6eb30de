"""Out-of-memory errors of a training: split the batch, or explain what is too large."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from noisette.errors import DataError

__all__ = ["explain_out_of_memory", "more_microbatches"]

log = logging.getLogger(__name__)

_CPU_MESSAGES = ("can't allocate memory", "not enough memory", "calculation overflowed", "Overflow when unpacking")


@contextmanager
def explain_out_of_memory(what: str) -> Iterator[None]:
    """Explain out-of-memory errors of the block, which creates `what`.

    Raises:
        DataError: if it does not fit into memory.
    """
    try:
        yield
    except (MemoryError, OverflowError, RuntimeError, TypeError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{what} does not fit into memory: choose a smaller backbone ({reason})") from None


def more_microbatches(error: RuntimeError, parts: int, batch: int, *, single_process: bool = True) -> int:
    """Return the number of microbatches after an error with `parts`: twice as many; log a warning.

    The gradient is the same up to rounding; with dropout the masks differ.

    Raises:
        RuntimeError: the error itself, if it is not about memory.
        DataError: if a single image is too large, or there are several processes, which cannot retry a step.
    """
    if not _is_out_of_memory(error):
        raise error
    if not single_process:
        raise DataError(
            f"training: a process's share of {batch} images does not fit into memory: raise "
            f"training.microbatches, now {parts}, or training.processes ({str(error).splitlines()[0]})"
        ) from None
    if parts >= batch:
        raise DataError(
            "training: a single image does not fit into memory: use smaller images (preparation.size) "
            f"or a smaller backbone ({str(error).splitlines()[0]})"
        ) from None
    more = min(2 * parts, batch)
    log.warning(
        "a batch of %d in %d part%s does not fit into memory: using %d (set training.microbatches=%d to start with "
        "that)",
        batch,
        parts,
        "" if parts == 1 else "s",
        more,
        more,
    )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return more


def _is_out_of_memory(error: Exception) -> bool:
    known = (MemoryError, OverflowError, torch.OutOfMemoryError)
    return isinstance(error, known) or any(text in str(error) for text in _CPU_MESSAGES)

"""What a training does where the memory does not suffice: it takes a batch in parts, or says what is too large."""

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
    """Make `what` in the block.

    Raises:
        DataError: if the memory does not suffice for it, or could not on any machine.
    """
    try:
        yield
    except (MemoryError, OverflowError, RuntimeError, TypeError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{what} takes more memory than there is: choose a smaller backbone ({reason})") from None


def more_microbatches(error: RuntimeError, parts: int, batch: int, *, single_process: bool = True) -> int:
    """Return into how many parts to cut a batch after an error that came with `parts`: twice as many.

    The gradient is the same but for rounding; with dropout the parts draw other masks. So it is said.

    Raises:
        RuntimeError: the error itself, if it is not about memory.
        DataError: if a single image is already too large, or there are several processes, which cannot go back.
    """
    if not _is_out_of_memory(error):
        raise error
    if not single_process:
        raise DataError(
            f"training: a process's share of {batch} images is too much for the memory: raise "
            f"training.microbatches, now {parts}, or training.processes ({str(error).splitlines()[0]})"
        ) from None
    if parts >= batch:
        raise DataError(
            "training: one image at a time is too much for the memory: take smaller images (preparation.size) "
            f"or a smaller backbone ({str(error).splitlines()[0]})"
        ) from None
    more = min(2 * parts, batch)
    log.warning(
        "a batch of %d in %d part%s is too much for the memory: it is taken in %d (training.microbatches=%d says "
        "so from the start)",
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

"""How a job decodes whose passes emit several tokens, or none: what each pass makes of it is known when it begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.decoding import Decoding
from sim.job import Job

Counts = NDArray[np.int64]


class Pace:
    """The passes of a job up to its next call, or its end.

    After `emitted[i]` output tokens pass i proposes `proposed[i]` beyond the next, holds `held[i]` blocks and emits
    `emits[i]`. `done` passes are written down in the job; it `joined` the lockstep at that tick.
    """

    __slots__ = ("done", "emits", "emitted", "held", "joined", "proposed")

    def __init__(self, decoding: Decoding, job: Job, longest: int, block_size: int) -> None:
        """The passes of `job` from the tokens that it has emitted on, of a leg whose answer has `longest` at most."""
        start, request = job.base_emitted, job.request
        told = decoding.passes(request, start) if start < job.ends_at else ((), ())
        emits, proposed = (self._counts(decoding, job, part) for part in told)
        self._check(decoding, job, emits, proposed)
        after = start + np.cumsum(emits)
        passes = int(np.searchsorted(after, job.ends_at)) + 1 if start < job.ends_at else 0
        if passes > len(after):
            emitted, name = int(emits.sum()), type(decoding).__name__
            raise RuntimeError(f"{name}.passes({job}) emit {emitted} of {request.truth.output_tokens - start} tokens")
        after = np.minimum(after[:passes], job.ends_at)
        self.emitted: Counts = np.concatenate(([start], after))
        self.emits: Counts = self.emitted[1:] - self.emitted[:-1]
        before = self.emitted[:-1]
        self.proposed: Counts = np.minimum(proposed[:passes], longest - 1 - before)  # nobody may emit more
        blocks = -(-(job.given + before + self.proposed) // block_size)
        self.held: Counts = np.maximum(np.maximum.accumulate(blocks), job.blocks) if passes else blocks
        self.done = self.joined = 0

    @staticmethod
    def _counts(decoding: Decoding, job: Job, told: Any) -> Counts:
        """RuntimeError unless they are whole numbers."""
        try:
            found = np.asarray(told)
        except ValueError:  # of sequences of several lengths
            found = np.asarray(None)
        if found.size and found.dtype.kind not in "iu":
            raise RuntimeError(f"{type(decoding).__name__}.passes({job}) are no whole numbers: {str(told)[:60]}")
        return found.astype(np.int64)

    @staticmethod
    def _check(decoding: Decoding, job: Job, emits: Counts, proposed: Counts) -> None:
        """RuntimeError unless the passes are such as `Decoding.passes` says."""
        name, most = type(decoding).__name__, decoding.lookahead
        if emits.ndim != 1 or emits.shape != proposed.shape:
            raise RuntimeError(f"{name}.passes({job}): emits {emits.shape}, proposed {proposed.shape}: not as many")
        wrong = (proposed < 0) | (proposed > most) | (emits < 0) | (emits > proposed + 1)
        if wrong.any():
            at = int(wrong.argmax())
            what = f"pass {at} proposes {proposed[at]} tokens, 0 to {most}, and emits {emits[at]}, at most one more"
            raise RuntimeError(f"{name}.passes({job}): {what}")

    def after(self, tick: int) -> int:
        """The output tokens emitted when the lockstep is at `tick`."""
        return int(self.emitted[min(self.done + tick - self.joined, len(self.emits))])

    def begun(self, tick: int) -> tuple[int, int]:
        """Its passes since it joined the lockstep until `tick`, and the tokens proposed in them."""
        until = min(self.done + tick - self.joined, len(self.emits))
        return until - self.done, int(self.proposed[self.done : until].sum())

    @property
    def due(self) -> int:
        """The tokens of the next pass: the one that is owed and those proposed."""
        return 1 + int(self.proposed[self.done])

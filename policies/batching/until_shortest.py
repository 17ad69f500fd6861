"""Static batches that end with their shortest member."""

from __future__ import annotations

from dataclasses import dataclass

from policies.batching.static import Static
from sim.execution import RequestLevel, Until


@dataclass(frozen=True, slots=True)
class UntilShortest(Static):
    """As `Static`, but when a member is complete the batch is over: the others wait again, with what they have.

    So it is in the simulator of SSJF (arXiv 2404.08509), which calls it dynamic batching.
    """

    def __post_init__(self) -> None:
        Static.__post_init__(self)
        object.__setattr__(self, "execution", RequestLevel(self.batch_size, self.batch_size, Until.FIRST))

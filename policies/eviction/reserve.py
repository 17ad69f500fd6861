"""Blocks are kept free ahead of need: the KV of those who are far back goes to the host, as FastServe has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.eviction.keep_then_swap import KeepThenSwap
from sim.job import Job
from sim.policy import Cause, Keep, Load, Order, Review


@dataclass(frozen=True, slots=True)
class Reserve(KeepThenSwap):
    """As `KeepThenSwap`, and `free_blocks` are kept free beside what the next batch needs, by whole requests.

    The next batch are the best by `order`, the policy's own: `seats` of them, or as many as fit. Too few blocks: who is
    last in line goes to the host. Else whoever is first in line comes back, as long as `free_blocks` stay free. The
    line is the order of rank, as FastServe's code has it. It is looked at each step. Who calls out is not of the next
    batch, is last in line, and does not come back before the call is over.
    """

    order: Order
    free_blocks: int
    seats: int

    def __post_init__(self) -> None:
        for name, least in (("free_blocks", 0), ("seats", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def line(self, idle: Sequence[Job], jobs: Sequence[Job], now: float) -> Sequence[Job]:
        """The `idle` ones, which come in the order of rank, among `jobs`: who is expected to run first, first."""
        return idle

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """Whole requests to the host, the last in line first, or back from it, the first in line first."""
        here = [job for job in jobs if job.paused is None]
        entries = [(self.order.rank(job, now), job.request.arrival, job.request.id, job) for job in here]
        ranked = [entry[3] for entry in sorted(entries)]
        batch = self._next_batch(ranked, load)
        among = set(idle).difference(batch)
        line = self.line([job for job in ranked if job in among], here, now)
        short = self.free_blocks + sum(_missing(job, load) for job in batch) - load.free_blocks
        if short > 0:
            line = [*line, *(job for job in jobs if job.paused is not None and job in among)]
            return Review(self._out(line, short - load.leaving, load, now), steps=1)
        moves = []
        for job in [job for job in line if job.host_tokens][: self.seats]:
            short += load.blocks(job.host_tokens)
            if short > 0:
                break
            moves.append((job, Keep.KEEP))
        return Review(moves, steps=1)

    def _next_batch(self, ranked: Sequence[Job], load: Load) -> Sequence[Job]:
        """The first of `ranked`, as far as seats and blocks go; one at least."""
        room = load.total_blocks - self.free_blocks
        for number, job in enumerate(ranked[: self.seats]):
            room -= load.blocks(job.context)
            if room < 0:
                return ranked[: max(1, number)]
        return ranked[: self.seats]

    def _out(self, line: Sequence[Job], short: int, load: Load, now: float) -> list[tuple[Job, Keep]]:
        """Who goes to the host, as far as there is room, so that `short` blocks come free."""
        moves = []
        for job in reversed(line):
            if short <= 0:
                break
            if job.blocks and self.on_stop(job, Cause.PRESSURE, load, now) is Keep.SWAP:
                moves.append((job, Keep.SWAP))
                short -= job.blocks
                load = load._replace(free_on_host=load.free_on_host - job.blocks)
        return moves


def _missing(job: Job, load: Load) -> int:
    """Blocks that a job of the next batch lacks to run; who runs has them."""
    return 0 if job.runs else max(0, load.blocks(job.context) - job.blocks)

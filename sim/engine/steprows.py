"""The rows of steps: a plan is one while it lasts, whatever its steps, and they are told apart in the end."""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sim.engine.batch import Batch
from sim.engine.plan import Plan
from sim.engine.stretch import Stretch
from sim.record import STEP_COLUMNS, Table

CHUNK = 1024  # plans are turned into the rows of their steps so many at a time,
LATER = 1 << 16  # or when they have so many steps beyond the first of each


class StepRows:
    """Collects the steps of replicas of such `names`, of one plan at a time.

    The steps of a leap differ in when they end, in what they attend to and in the blocks that are in use. All three
    follow from the stretch and from what each tick of the lockstep brings: by the same arithmetic as that of
    `Stretch.end`, to the last bit.
    """

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._plans: list[tuple[float, ...]] = []  # numbers of each plan, not yet in a chunk
        self._gains: list[int] = []  # tokens by which the context grew in each step of theirs but the last
        self._takes: list[int] = []  # blocks that were taken in each but the first
        self._chunks: list[Table] = []

    def add(self, replica: int, batch: Batch, plan: Plan, stretch: Stretch | None) -> None:
        """The steps of `plan` have ended, by its `stretch` if it only decodes; its jobs are not yet gone."""
        step, kv, steps = plan.step, batch.kv, plan.steps
        begun = base = slope = 0.0
        done = attended = 0
        if steps > 1:
            assert stretch is not None  # for it leaps
            begun, base, slope, done, attended = stretch.law()
            self._gains += batch.lockstep.gains(steps - 1)
            self._takes += batch.lockstep.takes(steps - 1)
        self._plans.append((
            replica, plan.end, plan.start, plan.overhead, step.prefill_tokens, step.decode_jobs, step.decode_context,
            step.moved_tokens, len(batch.running), plan.waiting, kv.total - kv.free, len(plan.preempted),
            steps, begun, base, slope, done, attended,
        ))  # fmt: skip
        if len(self._plans) == CHUNK or len(self._gains) > LATER:
            self._spell_out()

    def _spell_out(self) -> None:
        """Make a chunk of the rows of what was collected."""
        numbers = np.fromiter(chain.from_iterable(self._plans), np.float64).reshape(len(self._plans), -1)
        counts = numbers.astype(np.int64)
        steps = counts[:, 12]
        each = np.repeat(np.arange(len(steps)), steps)  # the plan of each row
        first = np.cumsum(steps) - steps  # the row in which each plan begins
        number = np.arange(len(each)) - first[each]  # of the steps of its plan, from 0
        later = number > 0
        context = counts[each, 6] + _within(self._gains, later, first, each)
        attended = np.cumsum(context)
        attended += (counts[:, 17] - attended[first] + counts[:, 6])[each]
        done = counts[each, 16] + number + 1
        end = numbers[each, 13] + (done * numbers[each, 14] + numbers[each, 15] * attended)
        end[first + steps - 1] = numbers[:, 1]
        start = np.concatenate(([0.0], end[:-1]))
        start[first] = numbers[:, 2]
        columns = (
            counts[each, 0], end, end - start, numbers[each, 3], counts[each, 4], counts[each, 5], context,
            counts[each, 7], counts[each, 8], counts[each, 9],
            counts[each, 10] + _within(self._takes, later, first, each), counts[each, 11],
        )  # fmt: skip
        self._chunks.append(dict(zip(STEP_COLUMNS, columns, strict=True)))
        self._plans.clear()
        self._gains.clear()
        self._takes.clear()

    def table(self) -> tuple[Table, NDArray[np.int64]]:
        """All rows, by the end of the step, then by name; and which that was recorded each of them is."""
        if self._plans:
            self._spell_out()
        if not self._chunks:
            return {name: np.array(()) for name in STEP_COLUMNS}, np.arange(0)
        columns = {name: np.concatenate([chunk.pop(name) for chunk in self._chunks]) for name in STEP_COLUMNS}
        self._chunks.clear()
        names, ranks = np.unique(self._names, return_inverse=True)
        columns["replica"] = ranks[columns["replica"]]
        order = np.lexsort((columns["replica"], columns["end"]))
        columns = {name: column[order] for name, column in columns.items()}
        return {**columns, "replica": names[columns["replica"]]}, order


def _within(
    brought: list[int], later: NDArray[np.bool_], first: NDArray[np.int64], each: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What was `brought` in all between the first step of its plan and each row."""
    sums = np.zeros(len(each), np.int64)
    sums[later] = brought
    sums = np.cumsum(sums)
    return sums - sums[first][each]

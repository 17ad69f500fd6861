"""What the blocks of a request hold, as far as its trace tells: who begins alike may share them."""

from __future__ import annotations

from sim.job import Job


def told_ids(job: Job) -> tuple[tuple[int, ...], int]:
    """The ids of its context from the first token on, and for how many tokens they stand in all.

    They are those of its prompt and, where they are known too, of its answer up to its first call: what a call returns
    nobody knows, nor what comes behind that.
    """
    request, pauses = job.request, job.true_pauses
    ids, answer = request.prompt_ids, request.truth.output_ids
    if not ids:
        return (), 0
    if pauses:
        answer = answer[: pauses[0].emitted]
    return ids + answer, request.prompt_tokens + len(answer)


class Told:
    """The full blocks of `job`, of `size` tokens, whose content its trace tells: in stretches of equal content.

    Stretch n goes from the end of that before it to block `stops[n]`. Stretches of two requests have the same key if
    and only if they hold the same and all before them does; one may be longer than the other.
    """

    __slots__ = ("keys", "size", "stops")

    def __init__(self, job: Job, size: int) -> None:
        self.size = size
        self.keys: list[int] = []
        self.stops: list[int] = []
        keys, stops = self.keys, self.stops
        ids, tokens = told_ids(job)
        each, last, number, length, key = job.request.id_tokens, tokens // size, 0, 0, 0
        before: int | tuple[int, ...] = ()
        while number < last:
            first = number * size
            at = first // each
            stop = (at + 1) * each // size
            content: int | tuple[int, ...]
            if stop > number:  # the block lies within what one id stands for, and so do those up to `stop`
                stop, content = min(stop, last), ids[at]
            else:
                stop, content = number + 1, ids[at : -(-(first + size) // each)]
            if content == before:
                stops[-1] = stop
            else:
                key = hash((key, length, content))
                keys.append(key)
                stops.append(stop)
                before, length = content, 0
            length += stop - number
            number = stop

"""All jobs of a replica as a policy is shown them: in a row that is made when it looks, for few policies do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from sim.job import Job


class Present(Sequence[Job]):
    """The jobs that `make` gives, which is asked once, at the first look; RuntimeError at a first look that is late."""

    def __init__(self, make: Callable[[], tuple[Job, ...]]) -> None:
        self._make = make
        self._jobs: tuple[Job, ...] | None = None
        self._over = False

    def close(self) -> None:
        """The question is answered, and the jobs are elsewhere from now on."""
        self._over = True

    def _made(self) -> tuple[Job, ...]:
        if self._jobs is None:
            if self._over:
                raise RuntimeError("the jobs that an eviction's review is shown are looked at after its answer")
            self._jobs = self._make()
        return self._jobs

    def __len__(self) -> int:
        return len(self._made())

    @overload
    def __getitem__(self, at: int) -> Job: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Job]: ...
    def __getitem__(self, at: int | slice) -> Job | Sequence[Job]:
        return self._made()[at]

    def __iter__(self):  # type: ignore[no-untyped-def]  # that of a tuple
        return iter(self._made())

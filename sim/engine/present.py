"""Jobs of a replica as a policy is shown them: in a row that is made when it looks, for few policies look at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import overload

from sim.job import Job


class Present(Sequence[Job]):
    """The jobs that `make` gives, which is asked once, at the first look; RuntimeError at a first look that is late."""

    _jobs: tuple[Job, ...] | None = None
    _over = False

    def __init__(self, make: Callable[[], Iterable[Job]]) -> None:
        self._make = make

    def close(self) -> None:
        """The question is answered, and the jobs are elsewhere from now on."""
        self._over = True

    def _begun(self) -> Iterable[Job]:
        """The jobs, one after another, before there is a row of them."""
        if self._over:
            raise RuntimeError("the jobs that an eviction's review is shown are looked at after its answer")
        return self._make()

    def _made(self) -> tuple[Job, ...]:
        if self._jobs is None:
            self._jobs = tuple(self._begun())
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


class Unrolled(Present):
    """As `Present`; who goes through them and stops at one does not pay for those behind it."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._begun() if self._jobs is None else self._jobs)

"""vLLM's executor of one process, whose passes run in a thread of their own: imported late, for it needs vLLM."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vllm.v1.executor.uniproc_executor import UniProcExecutor


class Direct(UniProcExecutor):  # type: ignore[misc]
    """Passes run in the calling thread, as vLLM has it."""

    def submit(self, called: Callable[[], Any]) -> Any:
        """What `called` says in the thread of the passes."""
        return called()


class Threaded(UniProcExecutor):  # type: ignore[misc]
    """Passes run one after the other in a thread, so that a step can be planned while the one before it runs."""

    def _init_executor(self) -> None:
        super()._init_executor()
        self.thread = ThreadPoolExecutor(1)

    def collective_rpc(self, method: Any, *given: Any, non_block: bool = False, **named: Any) -> Any:
        """Run `method`; with `non_block` in the thread, and a future of its result is returned."""
        run = super().collective_rpc
        return self.thread.submit(run, method, *given, **named) if non_block else run(method, *given, **named)

    def submit(self, called: Callable[[], Any]) -> Any:
        """What `called` says in the thread of the passes."""
        return self.thread.submit(called).result()

    def shutdown(self) -> None:
        """End the thread, and what vLLM ends."""
        self.thread.shutdown()
        super().shutdown()


def executor_class(asynchronous: bool) -> type[UniProcExecutor]:
    """The executor of an engine that schedules so."""
    return Threaded if asynchronous else Direct

"""What stands in for the cases of `engine bench` where only the taking of turns is tested."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from experiments.engine.timed import serve


def prepared(name: str, azure: str) -> Callable[[], dict[str, Any]]:
    """What stands in for a case: it takes 1, 2, 3 ... seconds; its requests are the letters of its name."""
    if name == "bad":
        raise ValueError("no such thing")
    count = itertools.count(1)

    def once() -> dict[str, Any]:
        seconds = float(next(count))
        return {"requests": len(name), "seconds": seconds, "timeouts": 10 * seconds}

    return once


def serve_lines() -> None:
    """Answer, as `experiments.engine.bench.serve_lines` does."""
    serve(prepared)

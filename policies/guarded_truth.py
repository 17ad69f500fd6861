"""A truth that is read by nobody but the engine, the oracle and what decodes."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from sim.request import Truth

MAY_READ_TRUTH = ("sim.", "policies.predictor.oracle", "policies.predictor.samples", "policies.decoding.")
GENERATED = (
    "sim.request",
    "dataclasses",
    "reprlib",
    "copy",
    __name__,
)  # where a Request's own ==, hash, repr and copies run
TRUTHS = {
    "output_tokens": "output length",
    "pauses": "pauses",
    "returned_tokens": "pauses",
    "proposals": "proposals",
    "samples": "samples",
}


class ContractError(AssertionError):
    """A policy broke a rule; the message says which part and how."""


def _refuse_stranger(frame: FrameType | None, what: str) -> None:
    """Raise, and name `what` is read, unless the code that `frame` works for, past generated methods, may read it."""
    while frame is not None and frame.f_globals.get("__name__") in GENERATED:
        frame = frame.f_back
    reader = frame.f_globals.get("__name__", "") if frame else ""
    if not reader.startswith(MAY_READ_TRUTH):
        raise ContractError(f"{reader} reads the true {what}")


class GuardedTruth(Truth):
    """A truth that raises `ContractError` when others than the engine, the oracle and decodings read or print it."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        frame = sys._getframe(1)
        if name in TRUTHS and frame.f_globals.get("__name__") != "sim.request":  # Request checks its fields
            _refuse_stranger(frame, TRUTHS[name])
        return object.__getattribute__(self, name)

    def __eq__(self, other: object) -> bool:
        _refuse_stranger(sys._getframe(1), TRUTHS["output_tokens"])
        if not isinstance(other, Truth):
            return False
        return (self.output_tokens, self.pauses, self.proposals) == (
            other.output_tokens,
            other.pauses,
            other.proposals,
        )

    def __hash__(self) -> int:
        _refuse_stranger(sys._getframe(1), TRUTHS["output_tokens"])
        return hash((self.output_tokens, self.pauses))

    def __repr__(self) -> str:
        _refuse_stranger(sys._getframe(1), TRUTHS["output_tokens"])
        return f"GuardedTruth(output_tokens={self.output_tokens}, pauses={self.pauses})"

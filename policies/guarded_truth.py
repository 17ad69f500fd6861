"""A truth that is read by nobody but the engine, the oracle and what decodes."""

from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Any

from sim.request import Truth

MAY_READ_TRUTH = (
    "sim.",
    "simpy.",  # whose frame is the last where the engine is compiled, and has none
    "policies.contract",
    "policies.predictor.oracle",
    "policies.predictor.samples",
    "policies.decoding.",
)
ENGINES = ("ends_at", "true_pauses", "true_tokens")  # what a job keeps of its truth, for the engine alone
GENERATED = (
    "sim.request",
    "dataclasses",
    "reprlib",
    "copy",
    __name__,
)  # where a Request's own ==, hash, repr and copies run
TRUTHS = {
    "output_tokens": "output length",
    "longest": "output length",
    "lengths": "output length",
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


def refuse_readers(part: object) -> None:
    """Raise if code of `part` names what a job keeps of its truth for the engine.

    Looked at are its class and what that derives from, and the functions beside these in their modules.
    """
    for kind in (kind for kind in type(part).__mro__ if not kind.__module__.startswith(MAY_READ_TRUTH)):
        beside = vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {}
        helpers = [one for one in beside.values() if getattr(one, "__module__", "") == kind.__module__]
        for function in (*vars(kind).values(), *helpers):
            function = getattr(function, "fget", None) or function
            _refuse_names(getattr(inspect.unwrap(function), "__code__", None), kind)


def _refuse_names(code: CodeType | None, kind: type) -> None:
    """As above, of a function's `code` and of those that it makes; a name counts as a text, or in a pattern, too."""
    if code is None:
        return
    texts = {text for one in code.co_consts for text in (one if isinstance(one, tuple) else (one,))}
    if read := sorted({*ENGINES} & {*code.co_names, *(text for text in texts if isinstance(text, str))}):
        where = f"{kind.__module__}, line {code.co_firstlineno}: {kind.__name__}"
        raise ContractError(f"{where} reads the true output length, job.{read[0]}")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _refuse_names(constant, kind)


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

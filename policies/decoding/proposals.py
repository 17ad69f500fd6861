"""What a small model was recorded to propose along an answer."""

from __future__ import annotations

from sim import Proposal, Request

NO_PROPOSALS = "request {}: its trace has no `proposals`; decoding=drawn_fallback_rollback needs none"


def recorded(request: Request) -> tuple[Proposal, ...]:
    """What the small model says at each output token; ValueError where nobody recorded it."""
    if not request.truth.proposals:
        raise ValueError(NO_PROPOSALS.format(request.id))
    return request.truth.proposals


def check_lookahead(lookahead: int) -> None:
    """ValueError if it is no number of tokens."""
    if isinstance(lookahead, bool) or not isinstance(lookahead, int) or lookahead < 1:
        raise ValueError(f"lookahead must be a whole number of tokens from 1, got {lookahead!r}")

"""What a small model was recorded to propose along an answer."""

from __future__ import annotations

from sim import Proposal, Request

MOST = 1024  # tokens that a pass proposes
NO_PROPOSALS = "request {}: its trace has no `proposals`; decoding=drawn_fallback_rollback needs none"


def recorded(request: Request) -> tuple[Proposal, ...]:
    """What the small model says at each output token; ValueError where nobody recorded it."""
    if not request.truth.proposals:
        raise ValueError(NO_PROPOSALS.format(request.id))
    return request.truth.proposals


def check_lookahead(lookahead: int) -> None:
    """ValueError if it is no number of tokens, or more than anybody proposes."""
    if isinstance(lookahead, bool) or not isinstance(lookahead, int) or not 1 <= lookahead <= MOST:
        raise ValueError(f"lookahead must be a whole number of tokens from 1 to {MOST:,}, got {lookahead!r}")

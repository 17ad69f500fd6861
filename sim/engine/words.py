"""The words of what is asked and answered, by themselves: read off its class, each takes as long as a call."""

from __future__ import annotations

from typing import Final

from sim.policy import Cause, Keep, Short

KEEP: Final = Keep.KEEP
DROP: Final = Keep.DROP
SWAP: Final = Keep.SWAP
OUTRANKED: Final = Cause.OUTRANKED
PAUSE: Final = Cause.PAUSE
PRESSURE: Final = Cause.PRESSURE
# Why a job does not enter, as numbers that no grant of tokens is.
SHORT_OF_BLOCKS: Final = -1
SOON: Final = -2  # it is short of some until copies end
COMING: Final = -3  # its KV is under way from now on
SEATS: Final = Short.SEATS
TOKENS: Final = Short.TOKENS
BLOCKS: Final = Short.BLOCKS

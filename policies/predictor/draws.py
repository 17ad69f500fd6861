"""Random numbers that whoever asks, and when, gets alike: drawn from a hash of a seed and of what they are for."""

from __future__ import annotations

from hashlib import blake2b
from statistics import NormalDist

STANDARD_NORMAL = NormalDist()


def uniform(*numbers: int) -> float:
    """Strictly between 0 and 1, fixed by `numbers`: a seed, a request's id, and what else tells draws apart."""
    digest = blake2b(repr(numbers).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 12) + 0.5) / (1 << 52)


def normal(*numbers: int) -> float:
    """Standard normal, fixed by `numbers`."""
    return STANDARD_NORMAL.inv_cdf(uniform(*numbers))

"""The sizes of a transformer that decide what a pass costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder-only transformer; `gated` says that its feed-forward has a gate beside the up projection."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    gated: bool
    vocabulary: int
    max_model_len: int
    parameter_count: int

    @property
    def qkv_width(self) -> int:
        """Columns of the joint query, key and value projection."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def up_width(self) -> int:
        """Columns of the first feed-forward projection, gate included."""
        return self.feed_forward * (2 if self.gated else 1)

    def kv_bytes_per_token(self, element_bytes: int) -> int:
        """Bytes of KV of one token, over all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * element_bytes

    def as_config(self) -> dict[str, Any]:
        """The sizes as plain values, for a provenance."""
        return asdict(self)


ARCHITECTURES = {
    "gpt2": Architecture(12, 768, 12, 12, 64, 3072, False, 50257, 1024, 124_439_808),
    "smollm2-135m": Architecture(30, 576, 9, 3, 64, 1536, True, 49152, 8192, 134_515_008),
    "llama-3.1-8b": Architecture(32, 4096, 32, 8, 128, 14336, True, 128256, 131072, 8_030_261_248),
}


def architecture(name: str) -> Architecture:
    """The sizes of the model `name`; ValueError names the known ones."""
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]

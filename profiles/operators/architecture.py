"""The sizes of a transformer that decide what a pass costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

OPTIONAL = (
    "encoder_layers", "experts", "experts_per_token", "shared_feed_forward", "patch", "window", "windowed_layers",
    "dense_layers", "dense_feed_forward", "shared_columns",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Architecture:
    """A transformer of `layers` decoder layers; `gated` says that its feed-forward has a gate beside the up projection.

    With `encoder_layers` it is an encoder-decoder: the encoder reads the prompt, and every decoder layer has cross
    attention to it beside its self attention. Both stacks have the same widths; `max_model_len` (tokens) is then the
    longest prompt and the longest answer together, half for each. Without decoder layers it only encodes (BERT); where
    it also has a `patch`, its tokens are patches of an image, so many numbers each, which a product embeds (ViT), and
    `vocabulary` are the classes. With `experts` the feed-forward part of each layer is so many of them behind a router,
    of `feed_forward` columns each, and a token goes through `experts_per_token`. `shared_feed_forward` says that all
    layers have the weights of one feed-forward part (MobiLlama, arXiv 2402.16840). In `windowed_layers` of the layers a
    token attends to the last `window` tokens. Of a mixture's layers `dense_layers` have no experts, but a feed-forward
    part of `dense_feed_forward` columns, and every token goes through `shared_columns` more beside its experts.
    """

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
    encoder_layers: int = 0
    experts: int = 0
    experts_per_token: int = 0
    shared_feed_forward: bool = False
    patch: int = 0
    window: int = 0
    windowed_layers: int = 0
    dense_layers: int = 0
    dense_feed_forward: int = 0
    shared_columns: int = 0

    @property
    def only_encodes(self) -> bool:
        """Whether it has no decoder, and generates nothing."""
        return self.layers == 0

    @property
    def qkv_width(self) -> int:
        """Columns of the joint query, key and value projection."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def up_width(self) -> int:
        """Columns of the first feed-forward projection, gate included."""
        return self.feed_forward * (2 if self.gated else 1)

    @property
    def max_prompt(self) -> int:
        """Tokens of the longest prompt."""
        return self.max_model_len // 2 if self.encoder_layers and self.layers else self.max_model_len

    @property
    def feed_forward_parameters(self) -> int:
        """Weights of the feed-forward part of a layer that has no experts."""
        return self.hidden * (self.up_width + self.feed_forward)

    @property
    def expert_parameters(self) -> int:
        """Parameters of all experts of all layers, without the routers."""
        return (self.layers - self.dense_layers) * self.experts * self.feed_forward_parameters

    def kv_bytes_per_token(self, element_bytes: int) -> int:
        """Bytes of KV of one token, over all layers: an encoder-decoder's prompt has them for cross attention."""
        return 2 * self.layers * self.kv_heads * self.head_dim * element_bytes

    def sharded(self, devices: int) -> Architecture:
        """What one of `devices` computes under tensor parallelism: its heads, feed-forward columns and vocabulary rows.

        KV heads are repeated when there are fewer than devices. ValueError where heads or columns do not divide.
        """
        columns = ("feed_forward", "dense_feed_forward", "shared_columns")
        for label, size in (("heads", self.heads), *((name, getattr(self, name)) for name in columns)):
            if devices < 1 or size % devices:
                raise ValueError(f"{label} must divide among the devices, got {size} over {devices}")
        if max(self.kv_heads, devices) % min(self.kv_heads, devices):
            raise ValueError(f"kv_heads must divide among the devices, got {self.kv_heads} over {devices}")
        return replace(
            self,
            heads=self.heads // devices,
            kv_heads=max(1, self.kv_heads // devices),
            **{name: getattr(self, name) // devices for name in columns},
            vocabulary=-(-self.vocabulary // devices),
            parameter_count=-(-self.parameter_count // devices),
        )

    def as_config(self) -> dict[str, Any]:
        """The sizes as plain values, for a provenance; what a model lacks is left out."""
        return {name: value for name, value in asdict(self).items() if value or name not in OPTIONAL}


GPT2 = Architecture(12, 768, 12, 12, 64, 3072, False, 50257, 1024, 124_439_808)
LLAMA_3_1_8B = Architecture(32, 4096, 32, 8, 128, 14336, True, 128256, 131072, 8_030_261_248)
LARGE_BASE = Architecture(22, 2048, 32, 32, 64, 5632, True, 32000, 2048, 1_261_529_088)

# T5 1.1 Base, SPEED's decoder (12 layers, 768, 12 heads, 2048) [S]; its encoder, and the gate, are t5x's own [R].
T5_V1_1_BASE = Architecture(12, 768, 12, 12, 64, 2048, True, 32128, 1024, 247_577_856, encoder_layers=12)

# As published: config.json of each model on its own page. Splitwise measured Llama-2-70B and BLOOM-176B at prompts
# longer than `max_model_len`, which costs time and says nothing about answers. MobiLlama's config.json says 4 kv heads,
# and its code (mbzuai-oryx/MobiLlama 44d96f8) makes as many keys as queries, by which its 0.5 and 0.8 billion add up;
# its plain models of that size are baseline1 and 2 of its Table 1. The Transformer's longest sentence is [A].
ARCHITECTURES = {
    "gpt2": GPT2,
    "dialogpt-small": GPT2,
    "gpt2-medium": Architecture(24, 1024, 16, 16, 64, 4096, False, 50257, 1024, 354_823_168),
    "opt-125m": Architecture(12, 768, 12, 12, 64, 3072, False, 50272, 2048, 125_239_296),
    "opt-1.3b": Architecture(24, 2048, 32, 32, 64, 8192, False, 50272, 2048, 1_315_758_080),
    "opt-2.7b": Architecture(32, 2560, 32, 32, 80, 10240, False, 50272, 2048, 2_651_596_800),
    "opt-6.7b": Architecture(32, 4096, 32, 32, 128, 16384, False, 50272, 2048, 6_658_473_984),
    "opt-13b": Architecture(40, 5120, 40, 40, 128, 20480, False, 50272, 2048, 12_853_473_280),
    "opt-66b": Architecture(64, 9216, 72, 72, 128, 36864, False, 50272, 2048, 65_719_701_504),
    "opt-175b": Architecture(96, 12288, 96, 96, 128, 49152, False, 50272, 2048, 174_604_468_224),
    "mobillama-0.5b": replace(LARGE_BASE, parameter_count=534_865_920, shared_feed_forward=True),
    "mobillama-0.8b": Architecture(
        22, 2560, 32, 32, 80, 10240, True, 32000, 2560, 819_315_200, shared_feed_forward=True
    ),
    "mobillama-large-base": LARGE_BASE,
    "mobillama-baseline1": Architecture(22, 1024, 32, 32, 32, 5632, True, 32000, 2048, 538_489_856),
    "mobillama-baseline2": replace(LARGE_BASE, layers=8, parameter_count=542_148_608),
    "mistral-7b": Architecture(32, 4096, 32, 8, 128, 14336, True, 32000, 32768, 7_241_732_096),
    "smollm2-135m": Architecture(30, 576, 9, 3, 64, 1536, True, 49152, 8192, 134_515_008),
    "llama-3-8b": replace(LLAMA_3_1_8B, max_model_len=8192),
    "llama-3-8b-1048k": replace(LLAMA_3_1_8B, max_model_len=1_048_576),
    "llama-3.1-8b": LLAMA_3_1_8B,
    "llama-3.2-1b": Architecture(16, 2048, 32, 8, 64, 8192, True, 128256, 131072, 1_235_814_400),
    "llama-2-70b": Architecture(80, 8192, 64, 8, 128, 28672, True, 32000, 4096, 68_976_648_192),
    "llama-3-70b": Architecture(80, 8192, 64, 8, 128, 28672, True, 128256, 8192, 70_553_706_496),
    "qwen3-32b": Architecture(64, 5120, 64, 8, 128, 25600, True, 151936, 40960, 32_762_123_264),
    "qwen3-30b-a3b": Architecture(
        48, 2048, 32, 4, 128, 768, True, 151936, 40960, 30_532_122_624, experts=128, experts_per_token=8
    ),
    "bloom-176b": Architecture(70, 14336, 112, 112, 128, 57344, False, 250880, 2048, 176_247_271_424),
    "bert-base": Architecture(0, 768, 12, 12, 64, 3072, False, 30522, 512, 109_482_240, encoder_layers=12),
    "bert-large": Architecture(0, 1024, 16, 16, 64, 4096, False, 30522, 512, 335_141_888, encoder_layers=24),
    "vit-base": Architecture(0, 768, 12, 12, 64, 3072, False, 1000, 197, 86_567_656, encoder_layers=12, patch=768),
    "transformer-base": Architecture(6, 512, 8, 8, 64, 2048, False, 37000, 1024, 63_082_496, encoder_layers=6),
    "bart-base": Architecture(6, 768, 12, 12, 64, 3072, False, 50265, 2048, 139_420_416, encoder_layers=6),
    "t5-small": Architecture(6, 512, 8, 8, 64, 2048, False, 32128, 1024, 60_506_624, encoder_layers=6),
    "t5-v1.1-base": T5_V1_1_BASE,
    **{
        f"t5-v1.1-base-decoder-{layers}": replace(T5_V1_1_BASE, layers=layers, parameter_count=parameters)
        for layers, parameters in ((2, 153_182_976), (3, 162_622_464), (4, 172_061_952), (6, 190_940_928))
    },
    "t5-large": Architecture(24, 1024, 16, 16, 64, 4096, False, 32128, 1024, 737_668_096, encoder_layers=24),
    "mt5-small": Architecture(8, 512, 6, 6, 64, 1024, True, 250112, 1024, 300_176_768, encoder_layers=8),
    "mt5-large": Architecture(24, 1024, 16, 16, 64, 2816, True, 250112, 1024, 1_229_581_312, encoder_layers=24),
    "godel-base": Architecture(12, 768, 12, 12, 64, 3072, False, 32102, 1024, 222_883_584, encoder_layers=12),
    "blenderbot-400m": Architecture(12, 1280, 32, 32, 40, 5120, False, 8008, 256, 364_802_560, encoder_layers=2),
}


def architecture(name: str) -> Architecture:
    """The sizes of the model `name`; ValueError names the known ones."""
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[name]

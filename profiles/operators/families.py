"""Decoders by the `model_type` of a Hugging Face config.json: how each is built, and what it calls its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Mixture:
    """The experts of a family: the fields with how many there are, their columns, and those beside them.

    `biases` says that router and experts have some, and heads a sink to attend to (GPT-OSS). `sparse` says that
    `decoder_sparse_step` and `mlp_only_layers` tell layers without experts.
    """

    count: str = "num_local_experts"
    columns: str = "intermediate_size"
    shared: str | None = None
    sparse: bool = False
    biases: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """How decoders of one `model_type` are built. Fields of a config.json are called as Llama's but for `names`.

    `defaults` are what transformers takes for a field that a config.json leaves out. `biases` says which products have
    one (qkv, output, feed_forward), always (True) or as a field says. A layer has `norms` of the hidden size, of
    weights (and biases: `norm_biases`), and perhaps `qk_norms`, over each head or over their whole width. `window` says
    which layers attend to the last `sliding_window` tokens alone, where `layer_types` does not: "all" of them, those
    "from" `max_window_layers` on where `use_sliding_window` is true, or all but every so many. `positions` are
    learned ones, so many more than the longest sequence (None: there are none). `only` are fields of which one value
    alone is composed here.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    gated: bool = True
    biases: Mapping[str, str | bool] = field(default_factory=dict)
    norms: int = 2
    norm_biases: bool = False
    qk_norms: str = ""
    window: str | int = ""
    mixture: Mixture | None = None
    positions: int | None = None
    head_bias: bool = False
    only: Mapping[str, Any] = field(default_factory=dict)


ATTENTION = {"qkv": "attention_bias", "output": "attention_bias"}
EVERYWHERE = {"qkv": True, "output": True, "feed_forward": True}
UNTIED = {"tie_word_embeddings": False}
TIED = {"tie_word_embeddings": True}
QWEN_MOE = Mixture("num_experts", "moe_intermediate_size", sparse=True)
GPT2 = Family(
    names={
        "num_hidden_layers": "n_layer",
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
    },
    defaults=TIED,
    gated=False,
    biases=EVERYWHERE,
    norm_biases=True,
    positions=0,
)

FAMILIES: Mapping[str, Family] = {
    "llama": Family(defaults=UNTIED, biases={**ATTENTION, "feed_forward": "mlp_bias"}),
    "mistral": Family(defaults={**UNTIED, "num_key_value_heads": 8}, window="all"),
    "mixtral": Family(defaults={**UNTIED, "num_key_value_heads": 8}, window="all", mixture=Mixture()),
    "qwen2": Family(defaults=UNTIED, biases={"qkv": True}, window="from"),
    "qwen3": Family(defaults=UNTIED, biases=ATTENTION, qk_norms="head", window="from"),
    "qwen2_moe": Family(
        defaults={**UNTIED, "qkv_bias": True},
        biases={"qkv": "qkv_bias"},
        window="from",
        mixture=Mixture("num_experts", "moe_intermediate_size", "shared_expert_intermediate_size", sparse=True),
    ),
    "qwen3_moe": Family(defaults=UNTIED, biases=ATTENTION, qk_norms="head", window="from", mixture=QWEN_MOE),
    "olmoe": Family(
        defaults=UNTIED, biases=ATTENTION, qk_norms="width", mixture=Mixture("num_experts", "intermediate_size")
    ),
    "gpt_oss": Family(
        defaults={**UNTIED, "attention_bias": True}, biases=ATTENTION, window=2, mixture=Mixture(biases=True)
    ),
    "gemma": Family(defaults=TIED, biases=ATTENTION),
    "gemma2": Family(defaults=TIED, biases=ATTENTION, norms=4, window=2),
    "gemma3_text": Family(
        defaults={
            **TIED,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 262208,
            "max_position_embeddings": 131072,
        },
        biases=ATTENTION,
        norms=4,
        qk_norms="head",
        window=6,
    ),
    "phi3": Family(defaults=UNTIED, window="all"),
    "granite": Family(defaults=UNTIED, biases={**ATTENTION, "feed_forward": "mlp_bias"}),
    "smollm3": Family(defaults=TIED, biases={**ATTENTION, "feed_forward": "mlp_bias"}),
    "olmo2": Family(defaults=UNTIED, biases=ATTENTION, qk_norms="width"),
    "cohere": Family(defaults=TIED, biases=ATTENTION, norms=1),
    "cohere2": Family(defaults=TIED, biases=ATTENTION, norms=1, window=4),
    "starcoder2": Family(
        defaults={**TIED, "use_bias": True},
        gated=False,
        biases={"qkv": "use_bias", "output": "use_bias", "feed_forward": "use_bias"},
        norm_biases=True,
        window="all",
        only={"mlp_type": "default", "norm_type": "layer_norm"},
    ),
    "gpt_neox": Family(
        defaults={**UNTIED, "attention_bias": True},
        gated=False,
        biases={**ATTENTION, "feed_forward": True},
        norm_biases=True,
    ),
    "gpt2": GPT2,
    "gpt_bigcode": replace(GPT2, defaults={**TIED, "multi_query": True}),
    "falcon": Family(
        names={"intermediate_size": "ffn_hidden_size", "num_key_value_heads": "num_kv_heads"},
        defaults={**TIED, "max_position_embeddings": 2048, "bias": False, "multi_query": True},
        gated=False,
        biases={"qkv": "bias", "output": "bias", "feed_forward": "bias"},
        norms=1,
        norm_biases=True,
    ),
    "opt": Family(
        names={"intermediate_size": "ffn_dim"},
        defaults=TIED,
        gated=False,
        biases=EVERYWHERE,
        norm_biases=True,
        positions=2,
    ),
    "phi": Family(
        defaults=UNTIED, gated=False, biases=EVERYWHERE, norms=1, norm_biases=True, head_bias=True
    ),
}  # fmt: skip

# What a decoder's config.json says beside its sizes, and a pass's products do not depend on.
WORDS = """
activation_function alibi
apply_residual_connection_post_layernorm architectures attention_dropout attention_multiplier
attention_softmax_in_fp32 attn_implementation attn_logit_softcapping attn_pdrop auto_map bos_token_id
cache_implementation chunk_size_feed_forward classifier_dropout do_layer_norm_before dropout dtype embd_pdrop
embedding_dropout embedding_multiplier eos_token_id experts_per_token final_logit_softcapping finetuning_task
hidden_act hidden_activation hidden_dropout id2label initial_context_length initializer_factor initializer_range
is_decoder label2id layer_norm_elementwise_affine layer_norm_eps layer_norm_epsilon layerdrop
logit_scale logits_scaling model_type no_rope_layer_interval no_rope_layers norm_eps norm_epsilon norm_topk_prob
num_ln_in_parallel_attn original_max_position_embeddings output_attentions output_hidden_states output_router_logits
pad_token_id parallel_attn partial_rotary_factor prefix pretraining_tp qk_layernorm query_pre_attn_scalar
reorder_and_upcast_attn resid_pdrop residual_dropout residual_multiplier return_dict rms_norm_eps rope_interleaved
rope_local_base_freq rope_parameters rope_scaling rope_theta rotary_dim rotary_emb_base rotary_pct
router_aux_loss_coef router_jitter_noise router_z_loss_coef scale_attention_softmax_in_fp32
scale_attn_by_inverse_layer_idx scale_attn_weights sep_token_id summary_activation summary_first_dropout
summary_proj_to_labels summary_type summary_use_proj swiglu_limit task_specific_params tokenizer_class torch_dtype
transformers_version typical_p unk_token_id use_cache use_parallel_residual
"""
NEUTRAL = frozenset(WORDS.split())

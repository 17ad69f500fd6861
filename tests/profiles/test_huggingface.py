"""A decoder of any config.json: its sizes, what is refused of it, and what its passes cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from profiles.composed import composed
from profiles.experts import Experts
from profiles.kernel_profile import load
from profiles.operators.counts import Elements, Flops
from profiles.operators.decoder import layer_parts, pass_seconds, self_attention
from profiles.operators.huggingface import from_config, model_name, sizes_of
from profiles.operators.tensor_parallel import reduce_seconds
from profiles.point import attended_tokens, decode_point, prefill_point, within
from sim.step import Step

SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "vocab_size": 1000,
    "num_key_value_heads": 2, "num_hidden_layers": 4, "max_position_embeddings": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN_WINDOW = {"use_sliding_window": False, "max_window_layers": 28, "sliding_window": 131072}
# As their publishers have them, in part, beside the parameters that these publish: nobody prepared these here.
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    "mixtral-8x7b": (
        {"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
        | {"num_hidden_layers": 32, "num_key_value_heads": 8, "num_experts_per_tok": 2, "num_local_experts": 8}
        | {"vocab_size": 32000, "max_position_embeddings": 32768, "sliding_window": None, "rope_theta": 1e6},
        46_702_792_704,
    ),
    "gemma-2-9b": (
        {"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_attention_heads": 16}
        | {"num_hidden_layers": 42, "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 256000}
        | {"max_position_embeddings": 8192, "sliding_window": 4096, "attn_logit_softcapping": 50.0},
        9_241_705_984,
    ),
    "qwen2.5-7b": (
        {"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28}
        | {"num_hidden_layers": 28, "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768}
        | QWEN_WINDOW,
        7_615_616_512,
    ),
    "qwen1.5-moe-a2.7b": (
        {"model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632, "moe_intermediate_size": 1408}
        | {"shared_expert_intermediate_size": 5632, "num_experts": 60, "num_experts_per_tok": 4, "vocab_size": 151936}
        | {"num_attention_heads": 16, "num_hidden_layers": 24, "num_key_value_heads": 16, "decoder_sparse_step": 1}
        | {"max_position_embeddings": 8192, **QWEN_WINDOW},
        14_315_784_192,
    ),
    "falcon-7b": (
        {"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71, "num_hidden_layers": 32}
        | {"num_kv_heads": 71, "multi_query": True, "parallel_attn": True, "bias": False, "vocab_size": 65024},
        6_921_720_704,
    ),
    "phi-3-mini": (
        {"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_attention_heads": 32}
        | {"num_hidden_layers": 32, "num_key_value_heads": 32, "vocab_size": 32064, "max_position_embeddings": 4096}
        | {"sliding_window": 2047, "original_max_position_embeddings": 4096},
        3_821_079_552,
    ),
    "starcoder2-3b": (
        {"model_type": "starcoder2", "hidden_size": 3072, "intermediate_size": 12288, "num_attention_heads": 24}
        | {"num_hidden_layers": 30, "num_key_value_heads": 2, "vocab_size": 49152, "max_position_embeddings": 16384}
        | {"sliding_window": 4096, "use_bias": True, "mlp_type": "default", "norm_type": "layer_norm"},
        3_030_371_328,
    ),
    "gpt-oss-20b": (
        {"model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_attention_heads": 64}
        | {"num_hidden_layers": 24, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32}
        | {"num_experts_per_tok": 4, "vocab_size": 201088, "max_position_embeddings": 131072, "sliding_window": 128}
        | {"attention_bias": True, "layer_types": ["sliding_attention", "full_attention"] * 12},
        20_914_757_184,
    ),
    "gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "n_inner": None}
        | {"vocab_size": 50257, "n_ctx": 1024},
        124_439_808,
    ),
}
WINDOWED = {"gemma-2-9b": (4096, 21), "phi-3-mini": (2047, 32), "starcoder2-3b": (4096, 30), "gpt-oss-20b": (128, 12)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_comes_to_its_parameters(name: str) -> None:
    config, parameters = PUBLISHED[name]
    ignored = ["n_ctx"] if name == "gpt2" else []
    sizes = from_config(config, f"{name}/config.json", ignored)
    assert sizes.parameter_count == parameters
    assert (sizes.window, sizes.windowed_layers) == WINDOWED.get(name, (0, 0))
    assert sizes.kv_heads == (1 if name == "falcon-7b" else config.get("num_key_value_heads", sizes.heads))


def transformers_config(kind: str) -> dict[str, Any]:
    """A small model of each family, with odd sizes."""
    small = {**SMALL, "model_type": kind, "num_hidden_layers": 6, "head_dim": 24, "pad_token_id": 0}
    mixture = {"num_experts": 6, "num_local_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    own: dict[str, dict[str, Any]] = {
        "qwen2_moe": {**mixture, "shared_expert_intermediate_size": 80, "mlp_only_layers": [2],
                      "decoder_sparse_step": 2},
        "qwen3_moe": {**mixture, "mlp_only_layers": [0], "decoder_sparse_step": 1},
        "mixtral": mixture, "olmoe": mixture, "gpt_oss": mixture,
        "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": 6, "n_positions": 256, "vocab_size": 1000},
        "gpt_bigcode": {"n_embd": 64, "n_head": 4, "n_layer": 6, "n_positions": 256, "vocab_size": 1000},
        "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
        "falcon": {"num_kv_heads": 2, "new_decoder_architecture": False, "multi_query": True, "parallel_attn": True},
    }  # fmt: skip
    plain = ("gpt2", "gpt_bigcode")
    if kind in ("opt", "falcon", "gpt_neox", "phi", "starcoder2", "mixtral", "olmoe", "qwen2_moe", "olmo2", "cohere"):
        del small["head_dim"]
    if kind in ("opt", "falcon"):
        del small["intermediate_size"]
    if kind in ("opt", "falcon", "gpt_neox"):  # which know no groups, or by another name
        del small["num_key_value_heads"]
    return {"model_type": kind, **own[kind]} if kind in plain else small | own.get(kind, {})


@pytest.mark.long  # transformers takes seconds to load
@pytest.mark.parametrize("kind", [
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss", "gemma", "gemma2",
    "gemma3_text", "phi3", "granite", "smollm3", "olmo2", "cohere", "cohere2", "starcoder2", "gpt_neox", "gpt2",
    "gpt_bigcode", "falcon", "opt", "phi",
])  # fmt: skip
def test_every_family_has_as_many_parameters_as_transformers_builds(kind: str) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    stated = transformers_config(kind)
    config = transformers.AutoConfig.for_model(**stated)
    with torch.device("meta"):
        built = transformers.AutoModelForCausalLM.from_config(config)
    parameters = sum(one.numel() for one in built.parameters())
    said = {key: value for key, value in config.to_dict().items() if key in stated or key in READ}
    sizes = from_config({**said, "model_type": kind}, "config.json", ["head_dim", "num_experts", "num_local_experts",
                        "moe_intermediate_size"])  # fmt: skip
    assert sizes.parameter_count == parameters


READ = ("tie_word_embeddings", "sliding_window", "layer_types", "use_sliding_window", "multi_query", "attention_bias",
        "num_key_value_heads", "max_position_embeddings")  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "deepseek_v3"}, r"c\.json: model_type must be one of .*, got 'deepseek_v3'"),
        ({"model_type": None}, r"model_type must be one of .*, got 'None'"),
        ({"kv_lora_rank": 512}, r"c\.json: not known what it changes: kv_lora_rank=512; .* ignored=\[kv_lora_rank\]"),
        ({"is_encoder_decoder": True}, r"not known what it changes: is_encoder_decoder=true"),
        ({"sliding_window": 512}, r"not known what it changes: sliding_window=512"),
        ({"quantization_config": {"quant_method": "fp8"}}, r'quantization_config\.quant_method="fp8": not composed'),
        ({"layer_types": ["full_attention"] * 3 + ["linear_attention"]}, r'layer_types\[3\]="linear_attention": such'),
        ({"layer_types": ["full_attention"]}, r"layer_types must be a list of 4, one a layer, got \["),
        ({"hidden_size": "64"}, r"hidden_size must be a positive whole number, got '64'"),
        ({"vocab_size": None}, r"vocab_size must be a positive whole number, got None"),
        ({"num_key_value_heads": 3}, r"num_key_value_heads must divide the 4 heads, got 3"),
        ({"attention_bias": "yes"}, r"attention_bias must be true or false, got 'yes'"),
        ({"model_type": "starcoder2", "mlp_type": "gated"}, r'mlp_type="gated": only "default" is composed here'),
        ({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3}, r"num_experts_per_tok must be"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_its_field(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_config({**SMALL, **changed}, "c.json")


def test_a_field_that_is_off_or_ignored_is_no_obstacle() -> None:
    plain = from_config(SMALL, "c.json")
    assert from_config({**SMALL, "use_mla": False, "extra": None}, "c.json") == plain
    assert from_config({**SMALL, "extra": 5}, "c.json", ["extra"]) == plain


def test_of_a_model_that_sees_pictures_the_decoder_counts() -> None:
    inner = {key: value for key, value in SMALL.items() if key != "model_type"}
    whole = {"model_type": "gemma3", "text_config": {**inner, "sliding_window": 512}, "vision_config": {"layers": 27}}
    sizes = from_config(whole, "c.json")
    assert (sizes.window, sizes.windowed_layers) == (512, 4)
    with pytest.raises(ValueError, match=r"c\.json: text_config: num_hidden_layers must be"):
        from_config({**whole, "text_config": {"sliding_window": 512}}, "c.json")


def test_a_file_or_its_folder_names_its_model(tmp_path: Path) -> None:
    path = tmp_path / "Own-7B-Instruct" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(SMALL))
    assert sizes_of(str(path)) == sizes_of(str(path.parent)) == ("own-7b", from_config(SMALL, ""))
    assert model_name(tmp_path / "mine.json") == "mine"
    for content, said in (
        ("{", "no json can be read"),
        ("[]", "it must hold an object, as a config.json does, got list"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=said):
            sizes_of(str(path))
    with pytest.raises(ValueError, match=r"no config of a model at .*none\.json"):
        sizes_of(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    "point", [prefill_point(2, 30), prefill_point(1, 9, 50), decode_point(3, 40), decode_point(3, 5)]
)
def test_a_window_hides_what_lies_before_it(point: Any) -> None:
    near = within(point, 16)
    seen = [min(point.computed + new + 1, 16) for new in range(point.new)]
    assert near.attended == point.batch * sum(seen)
    assert within(point, 10_000) is point
    assert point.attended == point.batch * attended_tokens(point.new, point.computed)


def test_alternating_layers_take_the_mean_of_both() -> None:
    sizes = from_config({**SMALL, "model_type": "gemma2", "sliding_window": 64}, "")
    plain = from_config({**SMALL, "model_type": "gemma2"}, "")
    assert (sizes.windowed_layers, plain.windowed_layers) == (2, 0)
    point = decode_point(4, 1000)
    full, near = (self_attention(plain, Flops(), one) for one in (point, decode_point(4, 64)))
    assert self_attention(sizes, Flops(), point) == pytest.approx((full + near) / 2)
    assert self_attention(sizes, Flops(), decode_point(4, 64)) == near


def test_a_mixture_computes_the_drawn_experts_and_reads_the_activated() -> None:
    config, _ = PUBLISHED["qwen1.5-moe-a2.7b"]
    sizes = from_config(config, "")
    parts = layer_parts(sizes, Flops(), 7)
    assert parts["up"] == 2 * 7 * 2048 * (60 + 4 * 2 * 1408 + 2 * 5632)
    assert parts["down"] == 2 * 7 * 2048 * (4 * 1408 + 5632)
    read = layer_parts(sizes, Elements(), 1)["down"]
    assert read == pytest.approx(4 * 1408 * 2048 + 4 * (1408 + 2048) + 5632 * 2048 + 5632 + 2048)
    many = layer_parts(sizes, Elements(), 10_000)["down"] - 10_000 * (4 * (1408 + 2048) + 5632 + 2048)
    assert many == pytest.approx((60 * 1408 + 5632) * 2048)


def test_layers_without_experts_are_as_many_as_the_config_says() -> None:
    config, _ = PUBLISHED["qwen1.5-moe-a2.7b"]
    sizes = from_config({**config, "decoder_sparse_step": 2, "mlp_only_layers": [1]}, "")
    assert (sizes.dense_layers, sizes.dense_feed_forward) == (13, 5632)
    plain = {key: value for key, value in config.items() if "expert" not in key and "sparse" not in key}
    gated = from_config({**plain, "model_type": "qwen2", "moe_intermediate_size": None}, "")
    dense, mixed = (layer_parts(one, Flops(), 3)["up"] for one in (gated, sizes))
    head = pass_seconds(sizes, Flops(), prefill_point(1, 3), 0.0) - 13 * dense - 11 * mixed
    other = pass_seconds(from_config(config, ""), Flops(), prefill_point(1, 3), 0.0) - 24 * mixed
    down = 2 * 3 * 2048 * (13 * 5632 + 11 * (4 * 1408 + 5632)), 2 * 3 * 2048 * 24 * (4 * 1408 + 5632)
    assert head - down[0] == pytest.approx(other - down[1])


def test_a_composed_mixture_is_near_the_kernels_of_one(shared_data: Path) -> None:
    """Qwen3-30B-A3B on an RTX PRO 6000: nothing was fitted to these."""
    stem = f"{shared_data}/measured/rtx-pro-6000_qwen3-30b-a3b"
    tables = {kind: f"{stem}_{kind}.csv.gz" for kind in ("attention", "dense", "per_sequence", "moe")}
    if missing := [path for path in tables.values() if not Path(path).exists()]:
        pytest.skip(f"no {missing[0]}")
    measured = load(**{kind: tables[kind] for kind in ("attention", "dense", "per_sequence")}, layers=48, model="",
                    experts=Experts(tables["moe"], 128, 8), device="", kv_bytes_per_token=98304, weight_bytes=0,
                    memory_bytes=10**11, memory_utilization=1.0, move_bytes_per_second=1e9, source="")  # fmt: skip
    profile = composed("qwen3-30b-a3b", "rtx_pro_6000", "bfloat16", "graphs")
    steps = [Step(decode_jobs=jobs, decode_context=1024 * jobs) for jobs in (4, 16, 64, 128)]
    steps += [Step(tokens, attended_tokens(tokens, 0), prefill_jobs=1) for tokens in (256, 1024, 2048)]
    off = [(profile.step_time(one) - profile.launching.host_seconds) / measured.step_time(one) - 1 for one in steps]
    assert min(off) > 0
    assert max(off) < 0.15


def made(folder: Path, **changed: Any) -> str:
    path = folder / "made" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**SMALL, **changed}))
    return str(path)


@pytest.mark.parametrize("share", [1, 2])
def test_a_windowed_model_composed_takes_what_its_passes_take(tmp_path: Path, share: int) -> None:
    path = made(tmp_path, model_type="gemma2", sliding_window=100, hidden_size=1024, num_attention_heads=16)
    profile = composed(path, "h100_sxm", "bfloat16", "graphs", tensor_parallelism=share)
    sizes, times = profile.sizes, profile.times
    for jobs, context in ((4, 200), (4, 400), (4, 401), (4, 4000)):
        line = profile.decode_line(jobs, context)
        exact = pass_seconds(sizes, times, decode_point(jobs, context // jobs), times.launching.host_seconds)
        exact += reduce_seconds(sizes, times, decode_point(jobs, context // jobs), share)
        assert line.since <= context <= line.until
        assert line.base + line.slope * context == pytest.approx(exact, rel=1e-3)
        assert profile.step_time(Step(decode_jobs=jobs, decode_context=context)) == line.base + line.slope * context
    assert (profile.device, profile.devices) == ("h100_sxm" + ("_tp2" if share > 1 else ""), share)
    prompt = prefill_point(1, 500)
    exact = pass_seconds(sizes, times, prompt, times.launching.host_seconds) + reduce_seconds(
        sizes, times, prompt, share
    )
    assert profile.step_time(Step(500, prompt.attended, prefill_jobs=1)) == pytest.approx(exact)

"""Sizes of models, against the models that transformers builds of them."""

import pytest

from profiles.operators.architecture import ARCHITECTURES, Architecture, architecture
from profiles.operators.huggingface import from_config, known


def opt(hidden, layers, heads):
    """An OPT, whose feed-forward part is four times as wide as its residual stream."""
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    return "OPTConfig", {**sizes, "ffn_dim": 4 * hidden, "word_embed_proj_dim": hidden}


CONFIGS = {  # transformers' config of each model, beside its defaults
    "gpt2": ("GPT2Config", {}),
    "dialogpt-small": ("GPT2Config", {}),
    "gpt2-medium": ("GPT2Config", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
    "opt-125m": ("OPTConfig", {}),
    "opt-1.3b": opt(2048, 24, 32),
    "opt-2.7b": opt(2560, 32, 32),
    "opt-6.7b": opt(4096, 32, 32),
    "opt-13b": opt(5120, 40, 40),
    "opt-66b": opt(9216, 64, 72),
    "opt-175b": opt(12288, 96, 96),
    "smollm2-135m": (
        "LlamaConfig",
        {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
        | {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
    ),
    "llama-3.1-8b": (
        "LlamaConfig",
        {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
        | {"num_attention_heads": 32, "num_key_value_heads": 8},
    ),
    "llama-3.2-1b": (
        "LlamaConfig",
        {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
        | {"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True},
    ),
    "llama-2-70b": (
        "LlamaConfig",
        {"vocab_size": 32000, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
        | {"num_attention_heads": 64, "num_key_value_heads": 8},
    ),
    "llama-3-70b": (
        "LlamaConfig",
        {"vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
        | {"num_attention_heads": 64, "num_key_value_heads": 8},
    ),
    "qwen3-32b": (
        "Qwen3Config",
        {"vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64}
        | {"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960},
    ),
    "qwen3-30b-a3b": (
        "Qwen3MoeConfig",
        {"vocab_size": 151936, "hidden_size": 2048, "moe_intermediate_size": 768, "num_hidden_layers": 48}
        | {"num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "max_position_embeddings": 40960}
        | {"num_experts": 128, "num_experts_per_tok": 8},
    ),
    "mistral-7b": ("MistralConfig", {}),
    "mobillama-large-base": (
        "LlamaConfig",
        {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22},
    ),
    "mobillama-baseline1": (
        "LlamaConfig",
        {"vocab_size": 32000, "hidden_size": 1024, "intermediate_size": 5632, "num_hidden_layers": 22},
    ),
    "mobillama-baseline2": (
        "LlamaConfig",
        {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 8},
    ),
    "bloom-176b": ("BloomConfig", {"vocab_size": 250880, "hidden_size": 14336, "n_layer": 70, "n_head": 112}),
    "bart-base": (
        "BartConfig",
        {"d_model": 768, "encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
        | {"encoder_attention_heads": 12, "decoder_attention_heads": 12},
    ),
    "t5-small": ("T5Config", {}),
    "t5-large": ("T5Config", {"d_model": 1024, "d_ff": 4096, "num_layers": 24, "num_heads": 16}),
    "mt5-small": ("MT5Config", {}),
    "mt5-large": ("MT5Config", {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16}),
    "godel-base": ("T5Config", {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "vocab_size": 32102}),
    "blenderbot-400m": (
        "BlenderbotConfig",
        {"d_model": 1280, "encoder_layers": 2, "decoder_layers": 12, "vocab_size": 8008}
        | {"encoder_ffn_dim": 5120, "decoder_ffn_dim": 5120, "max_position_embeddings": 128},
    ),
}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_model_built_of_the_sizes_has_as_many_parameters(name):
    """Built without memory, on torch's meta device."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind, settings = CONFIGS[name]
    config = getattr(transformers, kind)(**settings)
    factory = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        built = factory.from_config(config)
    sizes = architecture(name)
    untied = sizes.vocabulary * sizes.hidden if name.startswith("mt5") else 0  # transformers 5 ties it
    assert sum(parameter.numel() for parameter in built.parameters()) + untied == sizes.parameter_count
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    assert (sizes.heads, sizes.kv_heads, sizes.hidden) == (config.num_attention_heads, heads, config.hidden_size)
    assert sizes.vocabulary == config.vocab_size


ENCODERS = {
    "bert-base": ("BertConfig", {}, "AutoModel"),
    "bert-large": (
        "BertConfig",
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
        "AutoModel",
    ),
    "vit-base": ("ViTConfig", {"num_labels": 1000}, "AutoModelForImageClassification"),
}


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_an_encoder_built_of_the_sizes_has_as_many_parameters(name):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    kind, settings, factory = ENCODERS[name]
    with torch.device("meta"):
        built = getattr(transformers, factory).from_config(getattr(transformers, kind)(**settings))
    model = architecture(name)
    assert sum(parameter.numel() for parameter in built.parameters()) == model.parameter_count
    assert model.only_encodes
    assert model.max_prompt == model.max_model_len


@pytest.mark.parametrize(("name", "apart"), [("mobillama-0.5b", 1_261_529_088), ("mobillama-0.8b", None)])
def test_a_shared_feed_forward_part_is_stored_once(name, apart):
    model = architecture(name)
    layers = model.layers * (4 * model.hidden**2 + 2 * model.hidden)
    rest = 2 * model.vocabulary * model.hidden + model.hidden
    assert model.parameter_count == layers + model.feed_forward_parameters + rest
    if apart:
        assert apart - model.parameter_count == (model.layers - 1) * model.feed_forward_parameters
        assert architecture("mobillama-large-base").parameter_count == apart


@pytest.mark.parametrize("name", ["smollm2-135m", "llama-3.1-8b", "llama-2-70b", "qwen3-32b", "qwen3-30b-a3b"])
def test_a_config_json_says_the_sizes(name):
    transformers = pytest.importorskip("transformers")
    kind, settings = CONFIGS[name]
    longest = {"max_position_embeddings": architecture(name).max_model_len}
    config = getattr(transformers, kind)(**settings | longest).to_dict()
    assert from_config(config, "config.json") == architecture(name)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("meta-llama/Llama-3.1-8B", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("/data/model/Qwen3-32B/", "qwen3-32b"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b"),
    ],
)
def test_a_name_of_hugging_face_is_of_known_sizes(name, ours):
    assert known(name) is ARCHITECTURES[ours]


def test_a_name_that_adds_what_changes_the_sizes_is_not_known():
    assert known("Qwen/Qwen3-32B-AWQ") is None


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_sizes_of_a_model_add_up_to_its_parameters(name):
    """By hand: products and embeddings, without biases, normalizations and what is learned of positions."""
    model = architecture(name)
    inner = model.heads * model.head_dim
    attention = model.hidden * (model.qkv_width + inner)
    each = max(model.experts, 1) * model.feed_forward_parameters
    layer = attention + (0 if model.shared_feed_forward else each)
    stacks = (model.layers + model.encoder_layers) * layer + bool(model.encoder_layers) * model.layers * attention
    stacks += each if model.shared_feed_forward else 0
    apart = name.startswith(("llama", "qwen", "mistral", "mobillama", "mt5", "t5-v1.1")) and name != "llama-3.2-1b"
    embeddings = model.vocabulary * model.hidden * (2 if apart else 1)
    assert stacks + embeddings == pytest.approx(model.parameter_count, rel=0.02)


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown model 'gpt9'; known: bart-base, .*gpt2, .*t5-small"):
        architecture("gpt9")


def test_devices_share_heads_columns_and_vocabulary():
    whole = Architecture(2, 8, 4, 2, 2, 16, True, 101, 64, 1001)
    half = whole.sharded(2)
    assert (half.heads, half.kv_heads, half.feed_forward, half.vocabulary) == (2, 1, 8, 51)
    assert (half.hidden, half.head_dim, half.layers) == (8, 2, 2)
    assert half.qkv_width == whole.qkv_width // 2
    assert whole.sharded(4).kv_heads == 1, "repeated"
    assert whole.sharded(1) == whole


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (0, "heads must divide among the devices, got 4 over 0"),
        (3, "heads must divide among the devices, got 4 over 3"),
    ],
)
def test_a_model_that_cannot_be_shared_out_says_why(devices, message):
    with pytest.raises(ValueError, match=message):
        Architecture(2, 8, 4, 2, 2, 16, True, 101, 64, 1001).sharded(devices)
    with pytest.raises(ValueError, match="kv_heads must divide among the devices, got 3 over 2"):
        Architecture(2, 8, 6, 3, 2, 16, True, 101, 64, 1001).sharded(2)


def test_an_encoder_takes_half_of_the_longest_sequence():
    bart = architecture("bart-base")
    assert bart.max_prompt == 1024
    assert bart.as_config()["encoder_layers"] == 6
    assert architecture("gpt2").max_prompt == 1024
    assert "encoder_layers" not in architecture("gpt2").as_config()

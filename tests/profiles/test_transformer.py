"""Passes of decoder-only and encoder-decoder models: what a step computes, what it leaves, what it means."""

import pytest

from profiles.point import decode_point, grid_points, prefill_point

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

GPT2 = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 50, "n_positions": 64}
BART = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": 50, "max_position_embeddings": 32,
}  # fmt: skip
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 50}
TINY = {"decoder": ("GPT2Config", GPT2), "bart": ("BartConfig", BART), "t5": ("T5Config", T5)}


@pytest.fixture(params=TINY)
def forward(request, monkeypatch):
    from profiles.measuring import models
    from profiles.measuring.forward import Forward

    config_class, sizes = TINY[request.param]
    monkeypatch.setitem(models.SOURCES, "tiny", models.Source(config_class=config_class, config=tuple(sizes.items())))
    return Forward(models.load("tiny"), seed=0)


def greedy(passes, prompts, mask, count):
    """The tokens of `count` greedy steps after `prompts`."""
    logits, state = passes.begin(prompts, mask)
    found = [logits[:, -1].argmax(-1, keepdim=True)]
    for _ in range(count - 1):
        found.append(passes.step(state, found[-1])[:, -1].argmax(-1, keepdim=True))
    return torch.cat(found, dim=1)


@torch.inference_mode()
def test_stepping_with_kept_kv_gives_what_generate_gives(forward):
    prompts = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(1))
    starts = {"decoder_start_token_id": 0} if forward.config.is_encoder_decoder else {}
    settings = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "num_beams": 1, "pad_token_id": 0}
    generated = forward.model.generate(
        prompts, attention_mask=torch.ones_like(prompts), eos_token_id=None, forced_eos_token_id=None,
        **settings, **starts,
    )  # fmt: skip
    assert torch.equal(greedy(forward.passes, prompts, None, 6), generated[:, -6:])


@torch.inference_mode()
def test_a_padded_row_is_masked_in_every_pass(forward):
    if forward.config.model_type == "gpt2":
        pytest.skip("absolute positions move with the padding: the tokens differ, not what a pass costs")
    prompts = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(prompts)
    mask[1, 5:] = 0
    other = prompts.clone()
    other[1, 5:] = 9
    assert torch.equal(greedy(forward.passes, prompts, mask, 5), greedy(forward.passes, other, mask, 5))


@pytest.mark.parametrize("batch", [1, 3])
@torch.inference_mode()
def test_random_and_real_kv_have_the_same_shapes(forward, batch):
    for build in (forward.passes.random_state, forward.passes.real_state):
        state = build(batch, 9, None, forward.random)
        cache = state.cache
        caches = (cache.self_attention_cache, cache.cross_attention_cache) if state.encoded else (cache,)
        assert sum(each.get_seq_length() for each in caches) == 9
        assert all(layer.keys.shape[0] == batch for each in caches for layer in each.layers)
        logits = forward.passes.step(state, torch.ones(batch, 1, dtype=torch.long))
        assert logits.shape == (batch, 1, 50)
        assert sum(each.get_seq_length() for each in caches) == 10


def test_every_kind_of_point_is_timed(forward):
    points = [decode_point(1, 16), decode_point(3, 2), prefill_point(2, 8), prefill_point(1, 1)]
    assert all(forward(point) > 0 for point in points)
    assert forward.agreement(batch=2, computed=8, rounds=1) > 0
    assert forward.kv_bytes_per_token == 2 * 2 * 32 * 4


def test_an_encoders_grid_has_whole_prompts_alone(forward):
    from types import SimpleNamespace as Some

    grid = Some(
        prefill=Some(batch=[1, 2], new=[8, 500], chunk=[4], computed=[8]),
        decode=Some(batch=[1], context=[8, 2000]),
        max_context=1000, max_prefill_tokens=1000, max_decode_context=1000,
    )  # fmt: skip
    points = grid_points(grid, forward.longest, forward.longest_prompt)
    chunks = [point for point in points if point.phase == "prefill" and point.computed]
    assert bool(chunks) != forward.config.is_encoder_decoder
    assert max(p.new for p in points) == min(500, forward.longest_prompt or forward.longest)
    assert max(p.computed + 1 for p in points if p.phase == "decode") == min(1000, forward.longest)

"""Counts of operations and elements, against the values of the Full Stack survey (arXiv 2302.14017)."""

import pytest

from profiles.operators.architecture import Architecture, architecture
from profiles.operators.counts import Elements, Flops, encoder_total, generation_total, prefill_total, surveyed_layer
from profiles.point import decode_point, prefill_point

BERT_BASE = Architecture(0, 768, 12, 12, 64, 3072, False, 30522, 512, 109_482_240, encoder_layers=12)
BERT_LARGE = Architecture(0, 1024, 16, 16, 64, 4096, False, 30522, 512, 335_141_888, encoder_layers=24)


@pytest.mark.parametrize(
    ("model", "tokens", "gigaflops", "intensity"),
    [
        (BERT_BASE, 128, 22.3, 193),
        (BERT_BASE, 512, 96.6, 366),
        (BERT_BASE, 4096, 1314, 229),
        (BERT_LARGE, 128, 78.9, 206),
        (BERT_LARGE, 512, 335, 429),
        (BERT_LARGE, 4096, 4123, 268),
    ],
)
def test_an_encoders_operations_and_intensity(model, tokens, gigaflops, intensity):
    flops, elements = encoder_total(model, Flops(), tokens), encoder_total(model, Elements(), tokens)
    assert flops / 1e9 == pytest.approx(gigaflops, rel=3e-3)
    assert flops / elements == pytest.approx(intensity, rel=3e-3)


@pytest.mark.parametrize(
    ("tokens", "gigaflops", "gigaelements"), [(128, 22.0, 11.1), (512, 91.8, 46.1), (4096, 1005, 506)]
)
def test_generating_takes_as_many_operations_and_two_for_each_element(tokens, gigaflops, gigaelements):
    gpt2 = architecture("gpt2")
    flops, elements = generation_total(gpt2, Flops(), tokens), generation_total(gpt2, Elements(), tokens)
    assert flops / 1e9 == pytest.approx(gigaflops, rel=3e-3)
    assert elements / 1e9 == pytest.approx(gigaelements, rel=5e-3)
    assert flops / elements == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("tokens", [1, 7, 128])
def test_a_layers_counts_are_the_surveys_formulas(tokens):
    d, f, h = 768, 3072, 12
    layers, length = BERT_BASE.encoder_layers, tokens
    flops = 8 * length * d**2 + 4 * length**2 * d + 4 * length * d * f
    elements = 4 * d**2 + 2 * d * f + 14 * length * d + 2 * length * f + 2 * h * length**2
    assert encoder_total(BERT_BASE, Flops(), tokens) == layers * flops
    assert encoder_total(BERT_BASE, Elements(), tokens) == layers * elements


@pytest.mark.parametrize(("batch", "context"), [(1, 1), (4, 100)])
def test_a_decode_steps_counts_are_the_surveys_formulas(batch, context):
    gpt2 = architecture("gpt2")
    d, f, h = 768, 3072, 12
    point = decode_point(batch, context)
    flops, elements = (
        surveyed_layer(gpt2, counts, batch, counts.generation_attention(point, gpt2))
        for counts in (Flops(), Elements())
    )
    assert flops == batch * (8 * d**2 + 4 * context * d + 4 * d * f)
    assert elements == 4 * d**2 + 2 * d * f + batch * (2 * context * d + 14 * d + 2 * f + 2 * h * context)


def test_a_causal_prompt_has_half_the_scores_of_an_encoders():
    gpt2 = architecture("gpt2")
    point = prefill_point(2, 100)
    causal, full = Flops().context_attention(point, gpt2), Flops().encoder_attention(point, gpt2)
    assert causal / full == pytest.approx(0.5, rel=0.02)
    assert prefill_total(gpt2, Flops(), 512) == pytest.approx(generation_total(gpt2, Flops(), 512))


def test_fused_attention_moves_no_scores():
    gpt2, point = architecture("gpt2"), decode_point(1, 1000)
    apart = Elements(score_transfers=2).generation_attention(point, gpt2)
    assert apart - Elements(score_transfers=0).generation_attention(point, gpt2) == 2 * 12 * 1000


def test_shared_kv_heads_are_read_once():
    llama, point = architecture("llama-3.1-8b"), decode_point(1, 1000)
    assert Elements(0).generation_attention(point, llama) == 2 * 4096 + 2 * 1000 * 1024 + 2 * 1024

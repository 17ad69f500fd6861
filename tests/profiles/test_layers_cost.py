"""What each layer of a pass costs, against whole passes."""

from dataclasses import replace

import pytest

from profiles.analytic import analytic_seconds
from profiles.analytic_error import datasheet
from profiles.operators.architecture import architecture
from profiles.operators.counts import Elements, Flops, encoder_total, prefill_total
from profiles.operators.layers import layer_cost, layer_costs, operator_costs
from profiles.operators.roofline import Launching, Roofline
from profiles.point import decode_point, prefill_point

TIMES = Roofline(datasheet("a100_sxm"), "bfloat16", Launching())


@pytest.mark.parametrize("name", ["gpt2", "mobillama-0.5b"])
@pytest.mark.parametrize("point", [prefill_point(1, 128), decode_point(4, 300)])
def test_layers_and_what_is_no_layers_make_a_pass(name, point):
    model = architecture(name)
    costs = layer_costs(model, TIMES, point)
    rest = TIMES.embedding(point.tokens, model) + TIMES.gemm(point.batch, model.vocabulary, model.hidden)
    assert len(costs) == model.layers
    assert sum(cost.seconds for cost in costs) + rest == pytest.approx(analytic_seconds(model, TIMES, point))


@pytest.mark.parametrize("name", ["bert-base", "vit-base", "bert-large"])
def test_an_encoders_layers_make_its_pass(name):
    model, point = architecture(name), prefill_point(2, 100)
    costs = layer_costs(model, TIMES, point)
    embedding = TIMES.gemm(200, model.hidden, model.patch) if model.patch else TIMES.embedding(200, model)
    assert sum(cost.seconds for cost in costs) + embedding == pytest.approx(analytic_seconds(model, TIMES, point))
    assert {cost.kind for cost in costs} == {"encoder"}
    assert {cost.elements for cost in costs} == {200 * model.hidden}


def test_flops_of_layers_are_the_surveys():
    bert, gpt2 = architecture("bert-base"), architecture("gpt2")
    assert sum(cost.flops for cost in layer_costs(bert, TIMES, prefill_point(1, 128))) == encoder_total(
        bert, Flops(), 128
    )
    assert sum(cost.flops for cost in layer_costs(gpt2, TIMES, prefill_point(1, 128))) == prefill_total(
        gpt2, Flops(), 128
    )
    assert layer_cost(bert, TIMES, 128).flops == encoder_total(bert, Flops(), 128) / 12


def test_an_encoder_decoder_has_both_and_a_step_the_decoders_alone():
    model = architecture("transformer-base")
    costs = layer_costs(model, TIMES, prefill_point(1, 64))
    assert [cost.kind for cost in costs] == ["encoder"] * 6 + ["decoder"] * 6
    assert costs[-1].flops > 1.3 * costs[0].flops, "cross attention"
    step = layer_costs(model, TIMES, decode_point(1, 64))
    rest = TIMES.embedding(1, model) + TIMES.gemm(1, model.vocabulary, model.hidden)
    assert sum(cost.seconds for cost in step) + rest == pytest.approx(
        analytic_seconds(model, TIMES, decode_point(1, 64))
    )


def test_who_only_encodes_generates_nothing():
    bert = architecture("bert-base")
    for made in (
        lambda: layer_costs(bert, TIMES, decode_point(1, 8)),
        lambda: analytic_seconds(bert, TIMES, decode_point(1, 8)),
    ):
        with pytest.raises(ValueError, match="an encoder alone generates nothing, got Point"):
            made()


def test_shared_weights_are_read_once_where_the_cache_holds_them():
    model = architecture("mobillama-0.5b")
    block = 2 * model.feed_forward_parameters
    plain = Roofline(replace(TIMES.device, cache_bytes=block - 1), "bfloat16", Launching())
    held = Roofline(replace(TIMES.device, cache_bytes=block), "bfloat16", Launching())
    point = decode_point(1, 100)
    assert analytic_seconds(model, plain, point) == pytest.approx(
        analytic_seconds(architecture("mobillama-large-base"), plain, point)
    )
    saved = analytic_seconds(model, plain, point) - analytic_seconds(model, held, point)
    read = model.feed_forward_parameters * 2 / held.bandwidth
    assert 0.9 * 21 * read < saved <= 21 * read, "all layers but the first, less what moving activations takes"
    assert sum(cost.flops for cost in layer_costs(model, held, point)) == sum(
        cost.flops for cost in layer_costs(architecture("mobillama-large-base"), held, point)
    )


@pytest.mark.parametrize(
    ("tokens", "projections", "feed_forward", "attention", "total"),
    [
        (128, 192.00, 211.86, 63.62, 159.68),
        (512, 438.86, 558.54, 101.95, 231.0),
        (4096, 702.17, 1068.52, 123.63, 117.96),
    ],
)
def test_operators_have_the_surveys_intensities(tokens, projections, feed_forward, attention, total):
    """Table 3 of arXiv 2302.14017: BERT-Base, queries, keys and values by three products, unfused."""
    bert, point = architecture("bert-base"), prefill_point(1, tokens)
    flops = operator_costs(bert, Flops(per_score=4, per_element=3.6), point)
    elements = operator_costs(bert, Elements(2, softmax_passes=2, elementwise_passes=1), point)
    assert flops["projections"] / elements["projections"] == pytest.approx(projections, abs=0.01)
    assert flops["feed_forward"] / elements["feed_forward"] == pytest.approx(feed_forward, abs=0.01)
    assert flops["attention"] / elements["attention"] == pytest.approx(attention, rel=0.01), (
        "it counts one addition less"
    )
    assert sum(flops.values()) / sum(elements.values()) == pytest.approx(total, rel=0.015)


def test_operators_add_up_to_the_layers():
    for name, point in (
        ("gpt2", decode_point(2, 70)),
        ("mobillama-0.5b", prefill_point(1, 40)),
        ("bert-base", prefill_point(1, 9)),
    ):
        model = architecture(name)
        costs = operator_costs(model, TIMES, point, apart=False)
        assert sum(costs.values()) == pytest.approx(sum(cost.seconds for cost in layer_costs(model, TIMES, point)))

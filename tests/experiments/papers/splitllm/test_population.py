"""Requests of split models: what their layers cost, what comes to the server, and that the engine serves just that."""

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from experiments.papers.splitllm.chain import Chain, roofline, visits
from experiments.papers.splitllm.population import UNIT, labelled, told
from experiments.run.inputs import build_cluster
from policies.placement import Costs, placed
from sim import Link, simulate
from traces.requests import to_requests

BERT = Chain("bert-base", head=False, input_bytes=4, tokens=[128])
UP, DOWN = Link(0.01, 1e6), Link(0.02, 4e6)


def composed(*overrides: str):
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return compose("config", [*overrides])


def trace(*overrides: str):
    return instantiate(composed(*overrides).trace, _convert_="all")


def rows(source, seed: int = 0):
    return source.replay(np.random.default_rng(seed), np.random.default_rng(seed + 1))


def test_a_layer_takes_what_it_computes_and_moves():
    """12 l d^2 + 2 l^2 d products of one of 12 x 768, at one core's peak but for what moves and starts."""
    costs = BERT.costs(128, roofline("cpu", "graphs"), 8, UP, DOWN)
    at_peak = (24 * 128 * 768**2 / 0.84 + 4 * 128**2 * 768 / 0.4) / 112e9
    assert costs.layers == 12
    assert at_peak < costs.server[0] < 1.6 * at_peak
    assert costs.client == pytest.approx(8 * costs.server)
    assert costs.work == pytest.approx(costs.server)
    assert costs.up == pytest.approx([0.01 + 4 * 128 / 1e6] + [0.01 + 2 * 128 * 768 / 1e6] * 11)
    assert costs.down == pytest.approx([0.02 + 2 * 128 * 768 / 4e6] * 11 + [0.02 + 4 / 4e6])


def test_a_head_is_of_the_last_token_alone():
    costs = Chain("gpt2", True, 4, [64]).costs(64, roofline("a100_sxm", "graphs"), 5, UP, DOWN)
    assert costs.layers == 13
    assert (costs.up[12], costs.down[11]) == pytest.approx((0.01 + 1536 / 1e6, 0.02 + 1536 / 4e6))
    assert costs.server[12] == roofline("a100_sxm", "graphs").gemm(1, 50257, 768)


def test_between_layers_of_a_decoder_the_encoders_output_goes_too():
    costs = Chain("transformer-base", False, 4, [64]).costs(64, roofline("cpu", "graphs"), 5, UP, DOWN)
    state = 2 * 64 * 512 / 1e6
    assert costs.up == pytest.approx([0.01 + 4 * 64 / 1e6, *[0.01 + state] * 6, *[0.01 + 2 * state] * 5])
    assert costs.server[6] > 1.3 * costs.server[5]  # two attentions
    assert len(set(costs.server[:6])) == len(set(costs.server[6:])) == 1


@pytest.mark.parametrize(
    ("places", "before", "works", "gaps", "after"),
    [
        ([1, 1, 1], 100, (111,), (), 3000),
        ([0, 0, 0], 6, (), (), 0),
        ([0, 1, 0], 201, (10,), (), 2003),
        ([1, 0, 1], 100, (1, 100), (1000 + 2 + 300,), 3000),
    ],
)
def test_what_the_server_sees(places, before, works, gaps, after):
    costs = Costs([1, 2, 3], [1, 10, 100], [1, 10, 100], [100, 200, 300], [1000, 2000, 3000])
    found = placed(costs, places)
    seen = visits(costs, found)
    assert (seen.before, seen.works, seen.gaps, seen.after) == (before, works, gaps, after)
    assert seen.before + sum(works) + sum(gaps) + seen.after == found.seconds


def test_labels_are_read_back():
    assert told(labelled({"server": "cpu", "tokens": 65, "rtt": 0.01})) == {"server": "cpu", "tokens": 65, "rtt": 0.01}


@pytest.mark.parametrize("place", ["server_only", "longest_prefix", "best_ratio", "dynamic"])
def test_a_request_alone_takes_what_its_placement_says(place):
    few = ["trace.servers=[cpu]", "trace.slowdowns=[5]", "trace.up=[50]", "trace.rtt=[0.02]", "trace.sla=[1.2,2]"]
    cfg = composed("experiment=split/placements", f"trace/place={place}", *few)
    source = instantiate(cfg.trace, _convert_="all")
    table = rows(source)
    policy, predictor = instantiate(cfg.policy, _convert_="all"), instantiate(cfg.predictor)
    done = simulate(to_requests(table), policy, build_cluster(cfg.cluster), predictor).requests
    seen = [told(label) for label in table["client"]]
    outside = np.array([one["outside"] for one in seen])
    works = done["finished"] - done["arrival"] - done["call_seconds"]
    coming = [found for found, seen in source.placed if seen.works]
    assert works == pytest.approx([one.work for one in coming], abs=3 * UNIT)
    assert works + outside == pytest.approx([one.seconds for one in coming], abs=3 * UNIT)
    assert all(works + outside <= [one["limit"] + 3 * UNIT for one in seen])


def test_the_load_is_of_all_work_at_the_server():
    table = rows(source := trace("trace=split_mixed", "trace/place=server_only"))
    work = UNIT * table["prompt_tokens"].sum()
    assert len(table) == 10000
    assert work / table["arrival"].iloc[-1] == pytest.approx(0.8, rel=0.05)
    fewer = rows(trace("trace=split_mixed", "trace/place=longest_prefix"))
    assert UNIT * fewer["prompt_tokens"].sum() < 0.8 * work
    assert fewer.attrs["skipped"] == {"all layers at the client": 10000 - len(fewer)}
    with pytest.raises(ValueError, match="predictor=oracle needs none"):
        source.training()


def test_what_is_wrong_is_said():
    with pytest.raises(InstantiationException, match="load and requests must be positive, got 0 and 10000"):
        trace("trace=split_mixed", "trace.load=0")
    with pytest.raises(InstantiationException, match=r"device must be one of a100_40gb, .*, got 'abacus'"):
        trace("trace=split_mixed", "trace.servers=[abacus]")
    with pytest.raises(InstantiationException, match=r"slowdowns must be one value at least, all positive, got \[0\]"):
        trace("trace=split_each", "trace.slowdowns=[0]")
    with pytest.raises(ValueError, match="all of 10000 are served at their clients"):
        rows(trace("trace=split_mixed", "trace/place=longest_prefix", "trace.servers=[a100_sxm]"))
    with pytest.raises(ValueError, match="tokens and input_bytes, all positive"):
        Chain("gpt2", head=False, input_bytes=4, tokens=[])

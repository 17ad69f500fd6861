"""Operators added up without a fit: whole passes, lines of decode steps, and what a request takes."""

import math

import pytest

from profiles.analytic import analytic_seconds
from profiles.composed import composed, slowest
from profiles.operators.counts import Elements, Flops, encoder_total, generation_total
from profiles.operators.layers import KINDS
from profiles.point import decode_point, prefill_point
from sim.step import Line, Step, attended_tokens

EAGER = composed("gpt2", "a100_sxm", "bfloat16", "eager", max_model_len=65536)
APART = composed("gpt2", "a100_sxm", "bfloat16", "graphs", launched={"score_transfers": 2, "softmax_passes": 2})
PROFILES = {"eager": EAGER, "apart": APART}


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(("new", "computed"), [(1, 0), (128, 0), (512, 1500)])
def test_a_prompt_is_an_analytic_pass(name, new, computed):
    profile = PROFILES[name]
    exact = analytic_seconds(profile.sizes, profile.times, prefill_point(1, new, computed))
    assert profile.step_time(Step(new, attended_tokens(new, computed))) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("jobs", [1, 7, 64])
@pytest.mark.parametrize("context", [1, 40, 1000, 30000])
def test_a_decode_step_is_an_analytic_pass_and_its_line(name, jobs, context):
    profile, total = PROFILES[name], jobs * context
    line = profile.decode_line(jobs, total)
    assert profile.step_time(Step(0, 0, jobs, total)) == line.base + line.slope * total
    assert line.since <= total <= line.until
    exact = analytic_seconds(profile.sizes, profile.times, decode_point(jobs, context))
    assert line.base + line.slope * total == pytest.approx(exact, rel=1e-12)
    if line.until < math.inf:
        beyond = profile.decode_line(jobs, math.ceil(line.until) + 1)
        assert beyond.slope > line.slope


def test_what_decodes_beside_a_prompt_shares_its_products():
    prompt, steps = Step(512, attended_tokens(512, 0)), Step(0, 0, 8, 4000)
    together = APART.step_time(Step(*prompt[:2], *steps[2:4]))
    assert max(map(APART.step_time, (prompt, steps))) < together < sum(map(APART.step_time, (prompt, steps)))


def test_the_slowest_of_lines_ends_where_another_begins():
    assert slowest([(4.0, 0.0), (0.0, 1.0), (1.0, 0.5)], 5) == Line(0.0, 1.0, math.inf, 4.0)
    assert slowest([(4.0, 0.0), (0.0, 1.0), (3.0, 0.5)], 3) == Line(3.0, 0.5, 6.0, 2.0)
    assert slowest([(4.0, 0.0), (0.0, 1.0)], 3) == slowest([(4.0, 0.0), (0.0, 1.0)], 4 - 1e-9)
    assert slowest([(4.0, 0.0), (0.0, 1.0)], 10).since == 4.0


def test_a_request_takes_what_the_survey_counts():
    counted = composed("gpt2", "h100_sxm", "int8", "graphs", sheet={"flops_per_second": {"int8": 1e15}},
                       launched={"score_transfers": 2})  # fmt: skip
    told = counted.account(1, 512)
    gpt2 = counted.sizes
    assert told["flops"] == pytest.approx(generation_total(gpt2, Flops(), 512))
    products = sum(told[f"elements.{kind}"] for kind in ("projections", "attention", "feed_forward"))
    assert products == pytest.approx(generation_total(gpt2, Elements(2), 512))
    assert told["seconds"] == pytest.approx(sum(told[f"seconds.{kind}"] for kind in KINDS))
    assert told["kv_bytes"] == 512 * 2 * 12 * 768


def test_an_encoder_sees_all_of_a_prompt_and_generates_nothing():
    bert = composed("bert-base", "cpu", "float32", "eager", launched={"score_transfers": 2})
    assert bert.account(128, 1)["flops"] == encoder_total(bert.sizes, Flops(), 128)
    exact = analytic_seconds(bert.sizes, bert.times, prefill_point(1, 128))
    assert bert.step_time(Step(128, attended_tokens(128, 0))) == pytest.approx(exact, rel=1e-12)
    with pytest.raises(ValueError, match="bert-base only encodes: it generates nothing, got 1 decoding jobs"):
        bert.decode_line(1, 10)


def test_weights_of_four_bits_are_read_as_such():
    plain, packed = (composed("mobillama-0.5b", "cpu", "float32", "graphs", weights) for weights in (None, "q4_0"))
    assert packed.weight_bytes == math.ceil(plain.weight_bytes / 4 * 18 / 32)
    assert packed.kv_bytes_per_token == plain.kv_bytes_per_token
    ratio = plain.decode_line(1, 10).base / packed.decode_line(1, 10).base
    assert 4 < ratio < 4 * 32 / 18


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="bart-base is an encoder-decoder: make its profile by tokenyard profile"):
        composed("bart-base", "cpu", "float32", "eager")
    with pytest.raises(ValueError, match=r"device must be one of a100_40gb, .*, got 'b900'"):
        composed("gpt2", "b900", "float32", "eager")
    with pytest.raises(ValueError, match="cpu: dtype must be one of float32, got 'bfloat16'"):
        composed("gpt2", "cpu", "bfloat16", "eager")
    with pytest.raises(ValueError, match=r"weights must be one of .*q4_0, got 'q3'"):
        composed("gpt2", "cpu", "float32", "eager", "q3")

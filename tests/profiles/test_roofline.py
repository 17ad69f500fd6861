"""A device's roofline, encoder-decoders and tensor parallelism, counted by hand."""

from dataclasses import replace

import pytest

from profiles.analytic import analytic_points, analytic_seconds
from profiles.operators.architecture import Architecture, architecture
from profiles.operators.decoder import pass_seconds
from profiles.operators.encoder_decoder import encoder_decoder_seconds
from profiles.operators.roofline import Device, Launching, Roofline
from profiles.operators.tensor_parallel import reduce_seconds
from profiles.point import decode_point, prefill_point

DEVICE = Device(
    name="toy",
    memory_bytes=1000,
    flops_per_second={"float32": 100.0, "bfloat16": 200.0},
    bytes_per_second=50.0,
    gemm_efficiency=0.5,
    attention_efficiency=0.25,
    memory_efficiency=0.8,
    launch_seconds=0.0,
    packing_passes=0.0,
    link_bytes_per_second=10.0,
    link_efficiency=0.5,
    link_seconds=0.25,
    move_bytes_per_second=5.0,
)
BARE = Launching()
TINY = Architecture(2, 8, 4, 2, 2, 16, True, 100, 64, 1000)
SEQ2SEQ = replace(TINY, encoder_layers=3)


def test_a_product_is_bound_by_memory_or_by_computing():
    times = Roofline(DEVICE, "float32", BARE)
    few = 4 * (8 * 4 + 1 * (8 + 4)) / (50 * 0.8)
    many = 2 * 100 * 8 * 4 / (100 * 0.5)
    assert times.gemm(1, 8, 4) == pytest.approx(few)
    assert times.gemm(100, 8, 4) == pytest.approx(max(many, 4 * (32 + 1200) / 40))
    assert Roofline(DEVICE, "bfloat16", BARE).gemm(1, 8, 4) == pytest.approx(few / 2)


def test_packing_goes_over_the_weights_of_more_than_one_row():
    packed, plain = Roofline(replace(DEVICE, packing_passes=2), "float32", BARE), Roofline(DEVICE, "float32", BARE)
    assert packed.gemm(1, 8, 4) == plain.gemm(1, 8, 4)
    assert packed.gemm(2, 8, 4) == pytest.approx(plain.gemm(2, 8, 4) + 2 * 8 * 4 * 4 / 40)


def test_a_launch_adds_and_a_dispatch_hides_behind_the_work():
    launched = Roofline(replace(DEVICE, launch_seconds=3.0), "float32", BARE)
    assert launched.gemm(1, 8, 4) == pytest.approx(Roofline(DEVICE, "float32", BARE).gemm(1, 8, 4) + 3)
    assert Roofline(DEVICE, "float32", Launching(dispatch_seconds=1e-3)).gemm(1, 8, 4) == Roofline(
        DEVICE, "float32", BARE
    ).gemm(1, 8, 4)
    assert Roofline(DEVICE, "float32", Launching(dispatch_seconds=1e3)).gemm(1, 8, 4) == 1e3


def test_attention_reads_the_cache_and_writes_to_it():
    fast = replace(DEVICE, flops_per_second={"float32": 1e9})
    times, point = Roofline(fast, "float32", BARE), decode_point(3, 10)
    elements = 2 * 3 * 4 * 2 + 2 * 3 * 10 * 2 * 2 + 2 * 3 * 2 * 2
    assert times.generation_attention(point, TINY) == pytest.approx(4 * elements / 40)
    unfused = Roofline(fast, "float32", Launching(score_transfers=5))
    assert unfused.generation_attention(point, TINY) == pytest.approx(4 * (elements + 5 * 4 * 30) / 40)
    computing = Roofline(replace(DEVICE, bytes_per_second=1e9), "float32", BARE)
    assert computing.generation_attention(point, TINY) == pytest.approx(4 * 30 * 8 / (100 * 0.25))


def test_a_cache_that_is_concatenated_is_read_and_written_in_each_step():
    fast, point = replace(DEVICE, flops_per_second={"float32": 1e9}), decode_point(3, 10)
    copied, kept = (Roofline(fast, "float32", Launching(cache_copies=copies)) for copies in (1, 0))
    kv = 2 * 3 * 10 * 2 * 2
    assert copied.generation_attention(point, TINY) - kept.generation_attention(point, TINY) == pytest.approx(
        4 * 2 * kv / 40
    )
    thrice = Roofline(fast, "float32", Launching(elementwise_passes=3))
    assert thrice.elementwise(5, 16, 8) == pytest.approx(3 * kept.elementwise(5, 16, 8))


def test_element_wise_operators_move_what_they_read_and_write():
    assert Roofline(DEVICE, "float32", BARE).elementwise(5, 16, 8) == pytest.approx(4 * 5 * 24 / 40)
    assert Roofline(DEVICE, "float32", BARE).embedding(5, TINY) == pytest.approx(4 * 2 * 5 * 8 / 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gemm_efficiency": 1.5}, "toy: gemm_efficiency must be above 0 and at most 1, got 1.5"),
        ({"memory_efficiency": 0}, "toy: memory_efficiency must be above 0 and at most 1, got 0"),
        ({"bytes_per_second": 0}, "toy: bytes_per_second must be positive, got 0"),
        ({"launch_seconds": -1}, "toy: launch_seconds must not be negative, got -1"),
    ],
)
def test_an_impossible_datasheet_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(DEVICE, **change)


def test_an_unknown_dtype_names_the_known_ones():
    with pytest.raises(ValueError, match="toy: dtype must be one of float32, bfloat16, got 'float16'"):
        Roofline(DEVICE, "float16", BARE)
    with pytest.raises(ValueError, match="dispatch_seconds must not be negative, got -1"):
        Launching(dispatch_seconds=-1)


class Ones:
    """A product takes 1 s, an element-wise operator 100 s, an embedding 10^4 s; attention 10^6 s, an encoder's 10^8."""

    def gemm(self, tokens, width, depth):
        return 1.0

    def context_attention(self, point, model):
        raise AssertionError("an encoder-decoder has no causal attention over prompts")

    def generation_attention(self, point, model):
        return 1e6

    def encoder_attention(self, point, model):
        return 1e8

    def elementwise(self, tokens, read, written):
        return 100.0

    def softmax(self, scores, model):
        return 0.0

    def embedding(self, tokens, model):
        return 1e4


def test_an_encoder_decoders_step_has_cross_attention():
    products, element_wise = 2 * (4 + 2) + 1, 2 * (3 + 1)
    by_hand = 0.5 + products + 100 * element_wise + 1e4 + 2 * 2 * 1e6
    assert encoder_decoder_seconds(SEQ2SEQ, Ones(), decode_point(2, 9), 0.5) == pytest.approx(by_hand)


def test_an_encoder_decoders_prompt_is_the_encoder_and_the_first_step():
    step = encoder_decoder_seconds(SEQ2SEQ, Ones(), decode_point(2, 9), 0.0)
    encoder = 3 * (4 + 100 * 3 + 1e8) + 2 * 1 + 1e4
    assert encoder_decoder_seconds(SEQ2SEQ, Ones(), prefill_point(2, 8), 0.5) == pytest.approx(0.5 + encoder + step)


def test_an_encoder_refuses_a_part_of_a_prompt():
    with pytest.raises(ValueError, match="an encoder reads prompts whole, got Point"):
        encoder_decoder_seconds(SEQ2SEQ, Ones(), prefill_point(1, 4, computed=3), 0.0)


class Grid:
    """A grid config with a chunk and prompts longer than half of the longest sequence."""

    max_context, max_prefill_tokens, max_decode_context = 64, 1000, 1000

    class prefill:  # noqa: N801
        batch, new, chunk, computed = [1, 2], [8, 32, 48], [4], [8]

    class decode:  # noqa: N801
        batch, context = [1], [16, 64]


def test_an_encoder_decoders_points_are_whole_prompts_that_it_can_read():
    assert prefill_point(1, 4, 8) in analytic_points(Grid, TINY)
    points = [point for point in analytic_points(Grid, SEQ2SEQ) if point.phase == "prefill"]
    assert points == [prefill_point(batch, new) for batch in (1, 2) for new in (8, 32)]


def test_one_device_exchanges_nothing_and_several_do_by_layer():
    times = Roofline(DEVICE, "float32", BARE)
    assert reduce_seconds(TINY, times, decode_point(3, 9), 1) == 0
    each = 2 * 0.5 * 3 * 8 * 4 / (10 * 0.5) + 0.25
    assert times.all_reduce(3 * 8, 2) == pytest.approx(each)
    assert reduce_seconds(TINY, times, decode_point(3, 9), 2) == pytest.approx((1 + 2 * 2) * each)
    assert reduce_seconds(SEQ2SEQ, times, decode_point(3, 9), 2) == pytest.approx((1 + 3 * 2) * each)
    prompt = (1 + 2 * 3) * times.all_reduce(3 * 5 * 8, 2) + (1 + 3 * 2) * each
    assert reduce_seconds(SEQ2SEQ, times, prefill_point(3, 5), 2) == pytest.approx(prompt)


def test_devices_share_the_work_and_pay_for_the_exchange():
    times = Roofline(DEVICE, "float32", Launching(host_seconds=0.125))
    for point in (prefill_point(2, 7), decode_point(3, 20)):
        alone = pass_seconds(TINY.sharded(2), times, point, 0.125)
        together = analytic_seconds(TINY, times, point, 2)
        assert together == pytest.approx(alone + reduce_seconds(TINY, times, point, 2))
        assert analytic_seconds(TINY, times, point) == pytest.approx(pass_seconds(TINY, times, point, 0.125))


@pytest.mark.parametrize("name", ["gpt2", "bart-base", "llama-3.1-8b"])
def test_more_tokens_and_more_context_never_take_less_time(name):
    model, times = architecture(name), Roofline(replace(DEVICE, bytes_per_second=1e9), "bfloat16", BARE)
    prompts = [analytic_seconds(model, times, prefill_point(1, new)) for new in (1, 2, 50, 100, 400)]
    steps = [analytic_seconds(model, times, decode_point(2, context)) for context in (1, 2, 50, 100, 400)]
    assert prompts == sorted(prompts)
    assert steps == sorted(steps)

"""A model cut in two: the client's part, the link and the server's part are one pass."""

import pytest

from profiles.profile import load
from profiles.split import split
from sim import Link, Step

CLIENT, SERVER = load("gpt2", "cpu"), load("gpt2", "l40s")
UP, DOWN = Link(0.005, 12.5e6), Link(0.006, 25e6)
STEPS = (Step(prefill_tokens=100, prefill_attended=5050), Step(decode_jobs=3, decode_context=900))


def cut(at: int, **more: object) -> object:
    return split(CLIENT, SERVER, 12, at, 768, UP, DOWN, **more)


def link(step: Step, size: int) -> float:
    rows, answers = (step.prefill_tokens, 1) if step.prefill_tokens else (step.decode_jobs, step.decode_jobs)
    return 0.011 + rows * size / 12.5e6 + answers * 4 / 25e6


@pytest.mark.parametrize("step", STEPS)
def test_a_pass_is_both_parts_and_the_link(step):
    here, there = CLIENT.step_time(step), SERVER.step_time(step)
    assert cut(3).step_time(step) == pytest.approx(here / 4 + link(step, 1536) + there * 3 / 4)
    assert cut(3, activation_bytes=4).step_time(step) == pytest.approx(here / 4 + link(step, 3072) + there * 3 / 4)


@pytest.mark.parametrize("step", STEPS)
def test_at_its_ends_it_is_one_device(step):
    assert cut(12).step_time(step) == pytest.approx(CLIENT.step_time(step))  # nothing goes over the link
    assert cut(0).step_time(step) == pytest.approx(SERVER.step_time(step) + link(step, 4))  # token ids up


def test_a_step_of_both_phases_goes_over_the_link_once():
    both, (prefill, decode) = cut(6), STEPS
    mixed = prefill._replace(decode_jobs=3, decode_context=900)
    apart = both.step_time(prefill) + both.step_time(decode)
    assert both.step_time(mixed) == pytest.approx(apart - 0.011 - (CLIENT.fixed_seconds + SERVER.fixed_seconds) / 2)


def test_each_part_holds_the_kv_of_its_layers():
    assert cut(0).kv_capacity_tokens == SERVER.kv_capacity_tokens
    assert cut(12).kv_capacity_tokens == CLIENT.kv_capacity_tokens
    assert cut(3).kv_capacity_tokens == min(4 * CLIENT.kv_capacity_tokens, SERVER.kv_capacity_tokens * 4 // 3)


def test_a_line_agrees_with_the_steps():
    line = cut(5).decode_line(4, 2000)
    assert cut(5).step_time(Step(decode_jobs=4, decode_context=2100)) == line.base + line.slope * 2100


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="client_layers must be 0 to 12, got 13"):
        cut(13)
    with pytest.raises(ValueError, match="one model, got gpt2 at the client, opt-125m at the server"):
        split(CLIENT, load("opt-125m", "cpu"), 12, 3, 768, UP, DOWN)

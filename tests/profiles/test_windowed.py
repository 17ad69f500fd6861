"""A window and looked-up units beside full attention, counted by hand; and a run on it."""

import math
from dataclasses import replace

import pytest

from policies.batching.continuous import Continuous
from profiles.composed import composed
from profiles.windowed import Windows, windowed
from sim import Cluster, simulate
from sim.link import Link
from sim.step import Step, attended_tokens
from tests.conftest import make_device, make_policy, make_requests

WINDOWS = Windows(4, 64, 8, 4, 8, 1, 16, 128, 0.5)
LINK = Link(1e-5, 1e9)
KV = 2 * 12 * 768 * 2  # bytes of a token's


def made(overlapped=False, link=LINK, **changed):
    return windowed(
        "gpt2", "a100_sxm", "bfloat16", "graphs", replace(WINDOWS, **changed), link,
        overlapped=overlapped, host_bytes=2**30, max_model_len=100_000,
    )  # fmt: skip


FULL = composed("gpt2", "a100_sxm", "bfloat16", "graphs", max_model_len=100_000)


def prompt(profile, new, computed=0):
    return profile.step_time(Step(new, attended_tokens(new, computed)))


def test_within_the_window_it_is_full_attention():
    profile = made(block=64)
    assert prompt(profile, 64) == pytest.approx(prompt(FULL, 64), rel=1e-12)
    for context in (1, 40, 68):
        assert profile.step_time(Step(0, 0, 3, 3 * context)) == FULL.step_time(Step(0, 0, 3, 3 * context))


@pytest.mark.parametrize("overlapped", [True, False])
@pytest.mark.parametrize("jobs", [1, 5])
def test_a_line_is_the_steps_and_ends_where_the_next_begins(jobs, overlapped):
    profile, context, ends = made(overlapped), jobs, []
    while context < jobs * 300:
        line = profile.decode_line(jobs, context)
        assert line.since <= context <= line.until
        last = math.floor(min(line.until, jobs * 300))
        for inside in (context, last):
            assert profile.step_time(Step(0, 0, jobs, inside)) == line.base + line.slope * inside
            assert profile.decode_line(jobs, inside) == line
        ends.append(line.until / jobs)
        context = last + 1
    assert {68, 100, 132} <= {round(end, 9) for end in ends}, "evicting begins, the window is full, the cache is"


def test_beyond_the_window_attention_takes_no_longer_but_for_the_lookup():
    profile = made(miss_rate=0)
    far, further = (profile.decode_line(1, context) for context in (1000, 50_000))
    assert far == further
    per_token = profile.representative_bytes_per_unit / 8 / FULL.times.bandwidth
    assert far.slope == pytest.approx(per_token)
    assert profile.representative_bytes_per_unit == 12 * 768 * 2


def test_what_misses_the_cache_comes_over_the_link():
    hit, missed = made(miss_rate=0), made(miss_rate=0.5)
    more = missed.step_time(Step(0, 0, 1, 1000)) - hit.step_time(Step(0, 0, 1, 1000))
    assert more == pytest.approx(KV * (0.5 * 4 * 8 - 1) / 1e9), "units in, where else the new token's KV goes out"
    slow = made(overlapped=True, link=Link(0.0, 1e6))
    assert slow.step_time(Step(0, 0, 1, 1000)) == pytest.approx(KV * 16 / 1e6)
    assert made(overlapped=True).step_time(Step(0, 0, 1, 1000)) < made().step_time(Step(0, 0, 1, 1000))


def test_a_prompt_is_its_chunks():
    profile = made()
    whole = prompt(profile, 1024)
    assert whole == pytest.approx(sum(prompt(profile, 128, 128 * number) for number in range(8)), rel=1e-9)
    longer = prompt(profile, 2048) - whole
    assert prompt(profile, 4096) - prompt(profile, 2048) == pytest.approx(2 * longer, rel=0.05), "linear"
    assert prompt(FULL, 65536) > 3 * prompt(FULL, 32768), "quadratic"


def test_what_a_request_holds_and_moves():
    told = made().account(1000, 11)
    units = (1010 - 68) // 8
    assert told["kv_bytes"] == 1010 * KV
    assert told["host_bytes"] == units * 8 * KV
    assert told["window_bytes"] == KV * (68 + 8 + 16 + 8 * 8)
    assert told["representative_bytes"] == units * 12 * 768 * 2
    assert told["lookups"] == 63 + 10
    misses = [start for start in range(0, 1000, 16) if (start - 68) / 8 > 8]
    assert told["moved_bytes"] == (len(misses) + 10) * 0.5 * 4 * 8 * KV
    assert made().account(50, 1)["moved_bytes"] == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"miss_rate": 1.5}, "windows.miss_rate must be from 0 to 1, got 1.5"),
        ({"cached": 3}, "windows.cached must hold the 4 units of a lookup, got 3"),
        ({"unit": 0}, "windows.unit must be at least 1, got 0"),
    ],
)
def test_windows_that_are_none_say_so(changed, said):
    with pytest.raises(ValueError, match=said):
        made(**changed)


@pytest.mark.parametrize("profile", [made(), made(overlapped=True), FULL], ids=["before", "beside", "full"])
def test_leaping_over_its_steps_is_stepping(profile, oracle):
    requests = make_requests([0.0, 0.001, 0.02], [40, 60, 90], [150, 120, 90])
    device = make_device(profile=profile, kv_tokens=4096, max_model_len=1024)
    batching = Continuous(max_num_seqs=4, max_num_batched_tokens=128, plans_ahead=0)
    leapt, stepped = (
        simulate(requests, make_policy(batching=batching), Cluster((device,)), oracle, leap=leap).requests
        for leap in (True, False)
    )
    assert leapt["finished"].tolist() == stepped["finished"].tolist()
    assert leapt["first_token"].tolist() == stepped["first_token"].tolist()

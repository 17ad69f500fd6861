"""Uneven batches: a made table by hand, what it refuses, lines and leaps, and rows of the real table left out."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.predictor.oracle import OraclePredictor
from profiles.kernel_profile import KernelProfile
from profiles.kernel_tables import read_attention
from profiles.skew import read_skew
from sim import Cluster, Record, simulate
from sim.step import Step, attended_tokens
from tests.cases import Case
from tests.conftest import ROOT, make_device, make_policy, make_requests
from tests.profiles.test_kernel import FACTS, MODEST, load, write
from tests.sim.test_leaping import assert_leap_equals_step

COLUMNS = "n,nb,skew,pc,kp,kv_big,kv_mean,t_mean_us,t_max_us,t_skew_us\n"
# Everything twice what attention.csv says it is: the unit is to be found out.
ROWS = (
    "4,1,4,0,0,64,28,60,120,90\n"  # even: half as dear again as interpolated; uneven: a half more
    "4,2,4,0,0,256,160,360,600,720\n"
    "4,1,4,16,0,16,7,100,100,200\n"
    "4,1,8,0,0,64,15,1,1,1000\n"  # another skew: not read
)


def uneven(folder: Path, rows: str = ROWS) -> KernelProfile:
    paths = write(folder, skew=COLUMNS + rows)
    return load(**paths, **FACTS)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> KernelProfile:
    return uneven(tmp_path_factory.mktemp("skew"))


def test_attention_is_multiplied_by_what_was_measured_of_such_a_batch(profile: KernelProfile) -> None:
    even = 2 * (20 + 40 / 4)  # two layers of four jobs of 28 tokens each
    rest = profile.step_time(Step(0, 0, 4, 4 * 28, decode_longest=28)) - even * 1e-6
    assert profile.step_time(Step(0, 0, 4, 4 * 28, decode_longest=64)) == pytest.approx(even * 1.5e-6 + rest)
    both = [profile.step_time(Step(0, 0, 4, 4 * 160, decode_longest=longest)) for longest in (160, 256)]
    assert both[1] - both[0] == pytest.approx(2 * 180e-6)  # twice the even one
    between = profile.step_time(Step(0, 0, 4, 4 * 160, decode_longest=208))
    assert both[0] < between < both[1]


def test_a_longest_beyond_the_table_counts_as_its_last(profile: KernelProfile) -> None:
    far, last = (profile.step_time(Step(0, 0, 4, 4 * 28, decode_longest=longest)) for longest in (100, 64))
    assert far == last


def test_one_job_is_as_long_as_the_mean_and_unevenness_untold_is_none(profile: KernelProfile, tmp_path: Path) -> None:
    plain = load(**write(tmp_path), **FACTS)
    assert (profile.uneven, plain.uneven) == (True, False)
    assert profile.step_time(Step(0, 0, 1, 40, decode_longest=40)) == pytest.approx(plain.step_time(Step(0, 0, 1, 40)))
    assert profile.step_time(Step(0, 0, 4, 112)) == profile.step_time(Step(0, 0, 4, 112, decode_longest=28))


def test_beside_a_prompt_it_is_that_of_the_chunk(profile: KernelProfile) -> None:
    even, odd = (Step(16, attended_tokens(16, 0), 4, 28, prefill_jobs=1, decode_longest=many) for many in (7, 16))
    assert profile.step_time(odd) - profile.step_time(even) == pytest.approx(2 * 50e-6)


def test_two_prompts_in_a_step_are_two_sequences(profile: KernelProfile) -> None:
    one, two = (Step(16, attended_tokens(16, 0), prefill_jobs=prompts) for prompts in (1, 2))
    assert profile.step_time(two) - profile.step_time(one) == pytest.approx(10e-6)  # a sampler


@MODEST
@given(jobs=st.integers(1, 4), data=st.data())
def test_a_line_agrees_with_every_step_on_it(profile: KernelProfile, jobs: int, data: st.DataObject) -> None:
    context = data.draw(st.integers(jobs, 256 * jobs))
    longest = data.draw(st.integers(-(-context // jobs), context)) if jobs > 1 else context
    line = profile.decode_line(jobs, context, longest)
    assert line.since <= context <= line.until
    assert line.slope >= 0
    steps = data.draw(st.integers(0, int(line.until - context) // jobs))  # all grow together
    for grown in (0, steps):
        asked = context + jobs * grown
        step = Step(0, 0, jobs, asked, decode_longest=longest + grown)
        assert line.base + line.slope * asked == profile.step_time(step)


@MODEST
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 100)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_leaping_equals_stepping(profile: KernelProfile, rows: list[tuple[int, int, int]], seats: int) -> None:
    requests = make_requests(*zip(*((at / 7000, prompt, out) for at, prompt, out in sorted(rows)), strict=True))
    device = make_device(profile=profile, max_model_len=256)
    policy = make_policy(batching=Continuous(max_num_seqs=seats, max_num_batched_tokens=32))
    assert_leap_equals_step(Case(requests, policy, Cluster((device,)), OraclePredictor()))


def test_the_engine_tells_the_longest(profile: KernelProfile) -> None:
    requests = make_requests([0, 0, 0, 0], [1, 1, 1, 20], [30, 30, 30, 30])
    policy = make_policy(batching=Continuous(max_num_seqs=4, max_num_batched_tokens=32))
    device = make_device(profile=profile, max_model_len=256)
    steps = simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.STEPS).steps
    for number in range(1, len(steps["seconds"])):
        context = int(steps["decode_context"][number])
        longest = (context + 3 * 19) // 4
        expected = profile.step_time(Step(0, 0, 4, context, decode_longest=longest))
        assert steps["seconds"][number] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("4,1,4,0,0,64,28,60,120,x\n", r"skew\.csv, line 2: t_skew_us 'x' is not a number"),
        ("4,1,4,0,0,64,28,60,120,90\n" * 2, r"skew\.csv, line 3: the same place as in line 2"),
        ("9,1,4,0,0,64,28,60,120,90\n9,1,4,0,0,256,28,60,120,90\n", "0 of its 2 rows lie where attention was"),
        ("4,1,4,0,0,64,28,60,120,90\n4,2,4,0,0,256,160,360,900,720\n", r"skew\.csv: t_max_us is \d+% and more"),
    ],
)
def test_a_table_that_does_not_fit_is_named(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        uneven(tmp_path, rows)


def test_it_foretells_rows_of_the_real_table_that_it_has_not_read(tmp_path: Path) -> None:
    folder = Path(os.environ.get("TOKENYARD_DATA") or ROOT.parent / "shared" / "data") / "measured"
    table = folder / "rtx-pro-6000_llama-3.1-8b_skew.csv.gz"
    if not table.is_file():
        pytest.skip(f"no skew table in {folder}")
    attention = read_attention(folder / "rtx-pro-6000_llama-3.1-8b_attention.csv.gz")
    with gzip.open(table, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["regime"] == "pure" and row["skew"] == "4.0"]
    with (tmp_path / "kept.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row for number, row in enumerate(rows) if number % 5)
    skew = read_skew(tmp_path / "kept.csv", attention)
    without, with_it = [], []
    for row in rows[::5]:
        jobs, longest, mean, seconds = (float(row[name]) for name in ("n", "kv_big", "kv_mean", "t_skew_us"))
        even, seconds = attention.at(0, jobs, 0, mean), seconds / 3 * 1e-6  # the table's unit
        without.append(abs(even / seconds - 1))
        with_it.append(abs(even * skew.at(0, jobs, 0, longest / mean, mean) / seconds - 1))
    assert quantiles(without, n=10)[-1] > 0.07
    assert quantiles(with_it, n=10)[-1] < 0.05

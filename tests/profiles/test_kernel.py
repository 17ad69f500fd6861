"""Kernel tables: made files, broken ones, what a step costs by hand, lines that agree with steps, the real tables."""

from __future__ import annotations

import gzip
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.run.inputs import build_cluster
from policies.batching.continuous import Continuous
from policies.predictor.oracle import OraclePredictor
from profiles.kernel_profile import KernelProfile, load
from profiles.kernel_tables import Grid, read_attention, read_layers, total
from profiles.point import chunk
from sim import Cluster
from sim.step import Step, attended_tokens
from tests.cases import Case
from tests.conftest import ROOT, make_device, make_policy, make_requests
from tests.sim.test_leaping import assert_leap_equals_step

ATTENTION = {  # prefill_chunk, kv_prefill, n_decode, kv_decode -> us
    (0, 0, 1, 16): 10, (0, 0, 1, 64): 20, (0, 0, 1, 256): 18, (0, 0, 4, 16): 20, (0, 0, 4, 64): 60, (0, 0, 4, 256): 300,
    (16, 0, 0, 0): 8, (16, 64, 0, 0): 16, (16, 0, 1, 16): 30, (16, 64, 1, 16): 40, (16, 0, 4, 16): 50,
    (16, 64, 4, 16): 60, (64, 0, 0, 0): 32, (64, 64, 0, 0): 64, (64, 0, 4, 256): 400,
}  # fmt: skip
COLUMNS = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"
DENSE = {
    "qkv_proj": (60, 120),
    "down_proj": (40, 80),
    "layernorm": (1, 3),
    "embedding": (5, 7),
    "final_layernorm": (2, 4),
}
FACTS = {
    "model": "tiny", "device": "nothing", "layers": 2, "kv_bytes_per_token": 1000,
    "weight_bytes": 4_000, "memory_bytes": 100_000, "memory_utilization": 0.5, "move_bytes_per_second": 1e6,
    "source": "made up",
}  # fmt: skip
MODEST = settings(deadline=None, max_examples=60)


def write(folder: Path, **changes: str) -> dict[str, Path]:
    texts = {
        "attention": COLUMNS + "".join(f"{','.join(map(str, where))},{time}\n" for where, time in ATTENTION.items()),
        "dense": "layer,tokens,time_us\n"
        + "".join(
            f"{name},{tokens},{us}\n" for name, both in DENSE.items() for tokens, us in zip((1, 100), both, strict=True)
        ),
        "per_sequence": "layer,sequences,time_us\nlm_head,1,50\nlm_head,8,50\nsampler,1,10\nsampler,8,80\n",
    }
    paths = {}
    for name, text in (texts | changes).items():
        paths[name] = folder / f"{name}.csv"
        paths[name].write_text(text)
    return paths


def tiny(folder: Path, **facts) -> KernelProfile:
    return load(**write(folder), **{**FACTS, **facts})


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> KernelProfile:
    return tiny(tmp_path_factory.mktemp("kernels"))


def test_a_decode_step_is_its_kernels(profile: KernelProfile) -> None:
    dense, head = 2 * 100 + 4 * 1 + 5 + 2, 50 + 10
    assert profile.step_time(Step(0, 0, 1, 16)) == pytest.approx((2 * 10 + dense + head) * 1e-6)
    assert profile.step_time(Step(0, 0, 1, 40)) == pytest.approx((2 * 15 + dense + head) * 1e-6)


def test_between_numbers_of_jobs_and_of_tokens_it_is_linear(profile: KernelProfile) -> None:
    dense = total(
        {name: Grid("tokens", (1.0, 100.0), both) for name, both in DENSE.items()},
        {"layernorm": 4, "embedding": 1, "final_layernorm": 1},
        2,
    )
    attention = (2 * 20 + 60) / 3  # of two jobs with 64 each: a third of the way from one job to four
    expected = (2 * attention + dense.at(2) + 50 + 20) * 1e-6
    assert profile.step_time(Step(0, 0, 2, 128)) == pytest.approx(expected)


def test_attention_never_falls_with_context(profile: KernelProfile) -> None:
    assert profile.step_time(Step(0, 0, 1, 256)) == profile.step_time(Step(0, 0, 1, 64))


def test_a_prompt_chunk_is_looked_up_by_its_tokens_and_those_before_them(profile: KernelProfile) -> None:
    first, later = (Step(16, attended_tokens(16, computed)) for computed in (0, 64))
    assert profile.step_time(later) - profile.step_time(first) == pytest.approx(2 * 8e-6)
    mixed = Step(16, attended_tokens(16, 64), 4, 64)
    rest = profile.dense.at(20) + profile.sequences.at(5)
    assert profile.step_time(mixed) == pytest.approx(2 * 60e-6 + rest)


def test_several_prompts_count_as_one_chunk_of_equal_attention() -> None:
    assert chunk(16, attended_tokens(16, 64)) == (16, 64)
    assert chunk(16, attended_tokens(16, 0)) == (16, 0)
    new, computed = chunk(32, 2 * attended_tokens(16, 0))
    assert computed == 0
    assert 16 < new < 32
    assert attended_tokens(1, 0) == 1
    assert new * (new + 1) / 2 == pytest.approx(2 * attended_tokens(16, 0))


def test_kv_moves_at_its_bandwidth_and_nothing_takes_no_time(profile: KernelProfile) -> None:
    assert profile.step_time(Step()) == 0
    assert profile.step_time(Step(moved_tokens=50)) == pytest.approx(0.05)


def test_capacity_and_lengths_come_from_the_facts_and_the_tables(profile: KernelProfile) -> None:
    assert profile.kv_capacity_tokens == (50_000 - 4_000) // 1000
    assert profile.max_model_len == 256
    assert profile.kind == "imported"
    assert profile.provenance["source"] == "made up"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step(0, 0, 5, 100), "n_decode is 5, and was measured up to 4"),
        (Step(0, 0, 1, 257), "tiny on nothing: 1 jobs of 257 tokens"),
        (Step(65, attended_tokens(65, 0)), "prefill_chunk is 65, and was measured up to 64"),
        (Step(16, attended_tokens(16, 65)), "kv_prefill is 65, and was measured up to 64"),
    ],
)
def test_beyond_the_tables_is_an_error_that_names_the_value(profile: KernelProfile, step: Step, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        profile.step_time(step)


@MODEST
@given(jobs=st.integers(1, 4), data=st.data())
def test_a_line_agrees_with_every_step_on_it(profile: KernelProfile, jobs: int, data: st.DataObject) -> None:
    context = data.draw(st.integers(jobs, 256 * jobs))
    line = profile.decode_line(jobs, context)
    assert line.since <= context <= line.until
    assert line.slope >= 0
    other = data.draw(st.integers(int(line.since) + 1, int(line.until)))
    for asked in (context, other):
        assert line.base + line.slope * asked == profile.step_time(Step(0, 0, jobs, asked))


@MODEST
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 100)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_leaping_equals_stepping(profile: KernelProfile, rows: list[tuple[int, int, int]], seats: int) -> None:
    rows = sorted(rows)
    requests = make_requests(*zip(*((at / 7000, prompt, output) for at, prompt, output in rows), strict=True))
    device = make_device(profile=profile, max_model_len=256)
    policy = make_policy(batching=Continuous(max_num_seqs=seats, max_num_batched_tokens=32))
    assert_leap_equals_step(Case(requests, policy, Cluster((device,)), OraclePredictor()))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("attention", "", "attention.csv, line 1: no column prefill_chunk, .*it has none"),
        ("attention", "prefill_chunk,kv_prefill,n_decode,time_us\n", "line 1: no column kv_decode; it has pre"),
        ("attention", COLUMNS, "no rows"),
        ("attention", COLUMNS + "16,0,0,0,8\n", "no row with prefill_chunk 0"),
        ("dense", "layer,tokens,time_us\nembedding,1,5\nembedding,2,x\n", "dense.csv, line 3: time_us 'x' is no"),
        ("dense", "layer,tokens,time_us\nembedding,-1,5\n", "line 2: tokens '-1' is not a number from 0 on"),
        ("dense", "layer,tokens,time_us\nembedding,1,nan\n", "line 2: time_us 'nan' is not a number"),
        ("dense", "layer,tokens,time_us\nembedding,1,5,6\n", "line 2: 'embedding,1,5,6' has 4 fields, not 3"),
        ("dense", "layer,tokens,time_us\nembedding,1,5\nembedding,1,6\n", "line 3: the same place as in line 2"),
        ("dense", "layer,tokens,time_us\nembedding,1,5\nembedding,1,abc\n", "line 3: time_us 'abc' is"),
        ("dense", "layer,tokens,time_us\nwarp_drive,7,9\n", "dense.csv, line 2: unknown layer 'warp_drive'; known are"),
        ("dense", "layer,tokens,time_us\nembedding,1,5\n", "no row of layer layernorm, final_layernorm; it has e"),
        ("dense", "layer,tokens,time_us\nlayernorm,1,5\nembedding,1,5\nfinal_layernorm,1,5\n", "no row of layer down"),
        ("per_sequence", "layer,sequences,time_us\nlm_head,1,5\n", "no row of layer sampler"),
    ],
)  # fmt: skip
def test_a_bad_table_is_named_by_file_line_and_value(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(**write(tmp_path, **{name: text}), **FACTS)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv.*TOKENYARD_DATA"):
        read_attention(tmp_path / "nowhere.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(
        gzip.compress(b"layer,tokens,time_us\n" + b"".join(b"embedding,%d,5\n" % at for at in range(999)))[:-20]
    )
    with pytest.raises(ValueError, match=r"broken\.csv\.gz: the file is broken"):
        read_layers(broken, "tokens", ("embedding",))


@pytest.mark.parametrize("facts", [{"layers": 0}, {"layers": -1}])
def test_wrong_facts_are_named(tmp_path: Path, facts: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(facts))} must be"):
        tiny(tmp_path, **facts)


@pytest.fixture(scope="module")
def real() -> KernelProfile:
    folder = Path(os.environ.get("TOKENYARD_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "measured" / "rtx-pro-6000_llama-3.1-8b_attention.csv.gz").is_file():
        pytest.skip(f"no kernel tables in {folder}")
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose(
            "config", overrides=["cluster=rtx_pro_6000", f"cluster.tables={folder}/measured/rtx-pro-6000_llama-3.1-8b"]
        )
        return build_cluster(cfg.cluster).devices[0].profile


def test_the_real_tables_give_steps_that_grow(real: KernelProfile) -> None:
    assert 0.010 < real.step_time(Step(0, 0, 1, 100)) < 0.013  # 16 GB of weights at 1.4 TB/s
    assert 0.08 < real.step_time(Step(2048, attended_tokens(2048, 0))) < 0.10
    times = [real.step_time(Step(0, 0, jobs, 1000 * jobs)) for jobs in range(1, 257)]
    assert all(one <= other * 1.01 for one, other in pairwise(times))
    assert real.max_model_len == 16384
    assert 500_000 < real.kv_capacity_tokens < 600_000


@settings(deadline=None, max_examples=200)
@given(jobs=st.integers(1, 256), share=st.floats(0, 1))
def test_the_real_lines_agree_with_their_steps(real: KernelProfile, jobs: int, share: float) -> None:
    context = jobs + int(share * jobs * 16383)
    line = real.decode_line(jobs, context)
    assert line.since <= context <= line.until
    assert line.base + line.slope * context == real.step_time(Step(0, 0, jobs, context))

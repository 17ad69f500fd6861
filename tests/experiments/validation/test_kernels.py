"""`validate kernels`: a made-up device comes out at no error, each missing part is one line, and the real runs."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.validation.kernels.main import main
from tests.conftest import ROOT
from tests.kerneltables import CONFIG, LAYERS, Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line in which a command is refused."""

    def run(made: Made, *more: str) -> str:
        assert main([*made.arguments, *more]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        return err.removeprefix("tokenyard validate kernels: ")

    return run


def errors(made: Made) -> dict[str, float]:
    lines = map(json.loads, (made.folder / "results" / "report.jsonl").read_text().splitlines())
    return {f"{line['metric']} {line['statistic']}": line["error"] for line in lines if line["kind"] == "error"}


def tpot(made: Made) -> float:
    lines = map(json.loads, (made.folder / "results" / "report.jsonl").read_text().splitlines())
    return next(line["measured"] for line in lines if (line.get("metric"), line.get("statistic")) == ("TPOT", "mean"))


def without(made: Made, part: str) -> dict[str, float]:
    lines = map(json.loads, (made.folder / "results" / "report.jsonl").read_text().splitlines())
    return next(line for line in lines if line["kind"] == "part" and line["without"] == part)


def test_a_made_up_device_that_served_at_a_known_cost_is_met(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(made.arguments) == 0
    shown = capsys.readouterr().out
    assert "nobody/made-up-1b in bfloat16 on Imagined Accelerator; run of vLLM 0.19: run.jsonl.gz" in shown
    assert "8 seats, 256 tokens a step, scheduling synchronous, prefix caching on" in shown
    assert f"KV: 4096 blocks of 16 tokens (the run's own record, {made.meta})" in shown
    found = errors(made)
    assert {"TTFT mean", "TPOT P50", "E2E P99", "throughput requests/s"} <= set(found)
    assert max(map(abs, found.values())) < 1e-6
    assert (made.folder / "results" / "report.txt").read_text() in shown
    assert (made.folder / "results" / "distributions.png").stat().st_size > 1000


def test_an_asynchronous_engine_plans_ahead_and_the_made_up_one_did_not(made: Made) -> None:
    made.change(async_scheduling=True)
    assert main(made.arguments) == 0
    assert without(made, "")["TTFT"] > 0.002, "who comes is seen a step later"
    assert abs(without(made, "planning ahead")["TTFT"]) < 1e-6


def test_two_devices_exchange_what_the_link_says(tmp_path: Path) -> None:
    """Over so wide a link the start is all: of each all-reduce, and of gathering the logits."""
    made = make(tmp_path, devices=2, exchange=(1 + 2 * LAYERS + 1) * 50e-6)
    assert main([*made.arguments, "--link-bandwidth", "1e9", "--link-latency", "50"]) == 0
    assert max(map(abs, errors(made).values())) < 1e-6
    assert without(made, "all-reduce")["TPOT"] == pytest.approx(-(2 + 2 * LAYERS) * 50e-6 / tpot(made), rel=0.05)


def test_two_devices_exchange_what_was_measured(tmp_path: Path) -> None:
    made = make(tmp_path, devices=2, exchange=((1 + 2 * LAYERS) * 100 + 50) * 1e-6)
    table = "layer,bytes,time_us\nall_reduce,1,100\nall_reduce,99999999,100\nall_gather,1,50\nall_gather,99999999,50\n"
    Path(f"{made.tables}_collective.csv").write_text(table)
    assert main(made.arguments) == 0
    assert max(map(abs, errors(made).values())) < 1e-6


def test_an_all_reduce_without_a_link_is_refused(tmp_path: Path, said: Callable[..., str]) -> None:
    line = said(make(tmp_path, devices=2))
    assert "_tp2 is of one of 2 devices, and nothing says how long they take to add up: give --link-bandwidth" in line


def test_experts_without_their_table_are_refused(made: Made, said: Callable[..., str]) -> None:
    experts = {"num_experts": 8, "moe_intermediate_size": 32, "num_experts_per_tok": 2, "model_type": "qwen3_moe"}
    (made.folder / "config.json").write_text(json.dumps(CONFIG | experts))
    assert "_moe.csv.gz is missing: nobody/made-up-1b has 8 experts a layer" in said(made)


LINK = ["--link-bandwidth", "1e9", "--link-latency", "50"]


def test_a_mixture_on_one_device_is_met(tmp_path: Path) -> None:
    made = make(tmp_path, mixture=True)
    assert main(made.arguments) == 0
    assert max(map(abs, errors(made).values())) < 1e-6


def test_ranks_with_shares_of_the_experts_step_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path, mixture=True, ranks=2, exchange=2 * LAYERS * 50e-6)
    assert main([*made.arguments, *LINK]) == 0
    shown = capsys.readouterr().out
    assert f"KV: 2048 blocks of 16 tokens on each rank (the run's own record, {made.meta})" in shown
    assert "2 data-parallel ranks; a request goes to the one with the fewest [A]" in shown
    assert "2 experts on each, 4 exchanges a step: 1e+09 GB/s and 50 us an exchange, as given" in shown
    assert max(map(abs, errors(made).values())) < 1e-6
    assert without(made, "exchange of tokens")["TPOT"] == pytest.approx(-2 * LAYERS * 50e-6 / tpot(made), rel=0.05)
    assert without(made, "steps together")["TPOT"] < -0.02, "alone nobody waits for the slower one"


def test_a_rank_has_no_weights_of_others_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path, mixture=True, ranks=2)
    meta = json.loads(made.meta.read_text())
    made.meta.write_text(json.dumps({name: value for name, value in meta.items() if name != "kv_cache"}))
    blocks = []
    for ranks in (1, 2):
        made.change(data_parallel_size=ranks)
        assert main([*made.arguments, *LINK, "--memory-bytes", "20000000"]) == 0
        blocks.append(int(re.search(r"KV: (\d+) blocks", capsys.readouterr().out)[1]))
    experts, block = LAYERS * 2 * 3 * 64 * 32 * 2, 16 * 2 * LAYERS * 2 * 16 * 2  # bytes; head_dim is 64 / 4
    assert blocks[1] - blocks[0] == pytest.approx(experts / block, abs=1)


def test_dense_ranks_are_replicas_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(tmp_path)
    made.change(data_parallel_size=2)
    assert main(made.arguments) == 0
    assert "2 data-parallel ranks; a request goes to the one with the fewest [A]" in capsys.readouterr().out
    assert errors(made)["E2E mean"] < -0.2, "it was one that served"


def test_ranks_whose_experts_are_not_those_of_the_table_are_refused(tmp_path: Path, said: Callable[..., str]) -> None:
    made = make(tmp_path, mixture=True, ranks=2)
    line = said(made)
    assert "2 ranks exchange tokens at every layer, and nothing says how long that takes: give --link-bandwidth" in line
    made.change(all2all_backend="deepep_low_latency")
    assert "all2all_backend is 'deepep_low_latency', and only 'allgather_reducescatter' is simul" in said(made, *LINK)
    made.change(all2all_backend=None, data_parallel_size=3)
    assert "experts.count=4 must divide among the ranks, got 3" in said(made, *LINK)
    made.change(data_parallel_size=2, enable_expert_parallel=False)
    assert "data_parallel_size 2 without enable_expert_parallel: each rank holds a part" in said(made, *LINK)
    (tmp_path / "tp").mkdir()
    made = make(tmp_path / "tp", mixture=True, devices=2)
    made.change(enable_expert_parallel=True)
    assert "enable_expert_parallel with tensor_parallel_size 2: whole experts lie on each" in said(made, *LINK)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"max_num_seqs": None}, "run.meta.json: it does not say max_num_seqs, how many requests ran at a time"),
        ({"max_num_batched_tokens": None}, "run.meta.json: it does not say max_num_batched_tokens, how many tokens"),
        (
            {"gpu_memory_utilization": 1.5},
            "run.meta.json: gpu_memory_utilization must be above 0 and at most 1, got 1.5",
        ),
        ({"quantization": "fp8"}, "run.meta.json: quantization is 'fp8', and nothing of the kind is simulated here"),
        ({"cpu_offload_gb": 4}, "run.meta.json: cpu_offload_gb is 4, and only 0 is simulated here"),
        ({"enable_lora": True}, "run.meta.json: enable_lora is True, and only False is simulated here"),
        ({"scheduling_policy": "priority"}, "scheduling_policy is 'priority', and only 'fcfs' is simulated here"),
        ({"num_requests": 61}, "run.jsonl.gz has 60 requests, and "),
        ({"max_num_seqs": 0}, "engine_kwargs.max_num_seqs must be a positive whole number, got 0"),
        ({"max_num_seqs": True}, "engine_kwargs.max_num_seqs must be a positive whole number, got True"),
        ({"enable_prefix_caching": "yes"}, "engine_kwargs.enable_prefix_caching must be true or false, got 'yes'"),
        ({"model": "nobody/else-7b"}, "was served with model nobody/else-7b, and"),
        ({"dtype": "float16"}, "was served with dtype float16, and"),
        ({"tensor_parallel_size": 2}, "was served with tensor_parallel_size 2, and"),
        ({"pipeline_parallel_size": 4}, "run.meta.json: pipeline_parallel_size is 4, and only 1 is simulated here"),
        ({"kv_cache_dtype": "fp8"}, "run.meta.json: kv_cache_dtype is 'fp8', and only 'auto' is simulated here"),
        ({"cache_dtype": "fp8_e5m2"}, "run.meta.json: cache_dtype is 'fp8_e5m2', and only 'auto' is simulated here"),
        ({"speculative_config": {"method": "eagle"}}, "run.meta.json: speculative_config is {'method': 'eagle'}"),
        ({"max_model_len": 300}, "run.meta.json allows max_model_len 300"),
        ({"max_num_batched_tokens": 4096}, "_attention.csv.gz: prefill_chunk is"),
    ],
)
def test_what_the_meta_lacks_or_has_wrong_is_one_line(made: Made, said: Callable[..., str], changes, line) -> None:
    if changes.get("max_num_batched_tokens"):
        long = {"request_id": "l", "input_toks": 1500, "output_toks": 2, "arrival_time": 1.0}
        stamps = {"queued_ts": 1.0, "scheduled_ts": 1.0, "first_token_ts": 1.1, "last_token_ts": 1.2}
        made.run.write_bytes(gzip.compress(json.dumps(long | stamps).encode()))
    made.change(**changes)
    assert line in said(made)


def test_what_a_run_leaves_to_vllm_is_told(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    made.change(async_scheduling=None, dtype=None, quantization="", seed=3, enforce_eager=True, warp=0)
    meta = json.loads(made.meta.read_text())
    for version, on in (("0.19.0", "on"), ("0.13.2", "off"), ("0.32.0", "on")):
        made.meta.write_text(json.dumps(meta | {"vllm_version": version}))
        assert main(made.arguments) == 0
        shown = capsys.readouterr().out
        since = "from 0.14 on" if on == "on" else "before 0.14"
        assert f"async_scheduling {on} by vLLM's default {since}: the run does not say [A]" in shown
        assert "enable_prefix_caching on by vLLM's default from 0.8 on: the run does not say [A]" in shown
        assert "dtype auto: the run does not say what that came to; that of the tables [A]" in shown
        told = [line for line in shown.splitlines() if "left aside" in line]
        assert told == [f"not understood, and left aside: {setting}" for setting in ("enforce_eager=True", "warp=0")]
        assert f"no {made.tables}_skew.csv.gz: uneven batches count as even ones" in shown
        assert "[A] assumed" in shown


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("run.meta.json", "{", "run.meta.json: no json: "),
        ("run.meta.json", "[]", "run.meta.json: it must be an object, got list"),
        ("run.meta.json", None, "meta.json: it says how the engine of"),
        ("run.jsonl.gz", None, "no run "),
        ("config.json", None, "config.json"),
        ("config.json", '{"model_type": "mamba"}', "config.json: model_type must be one of"),
        ("config.json", '{"model_type": "llama"}', "config.json: num_hidden_layers must be a positive whole number"),
        ("imagined_made-up-1b_dense.csv.gz", None, "imagined_made-up-1b_dense.csv.gz: TABLES is what the paths"),
        ("imagined_made-up-1b_profile.meta.yaml", None, "it says which device and which model the tables are of"),
        ("imagined_made-up-1b_profile.meta.yaml", "a: [", "_profile.meta.yaml: no yaml: "),
        ("imagined_made-up-1b_profile.meta.yaml", "gpu: x", "_profile.meta.yaml: it does not say variant"),
        ("imagined_made-up-1b_profile.meta.yaml", "tp_degrees: [4]", "tp_degrees must be a list with 1, which"),
    ],
)
def test_a_file_that_is_missing_or_broken_is_one_line(made: Made, said: Callable[..., str], file, text, line) -> None:
    path = made.folder / file
    path.unlink() if text is None else path.write_text(text)
    assert line in said(made)


def test_a_broken_run_is_one_line(made: Made, said: Callable[..., str]) -> None:
    made.run.write_bytes(gzip.compress(b'{"request_id": "a"}\n'))
    assert "run.jsonl.gz, line 1" in said(made)
    row = {"request_id": "a", "input_toks": -5, "output_toks": 2, "arrival_time": 1.0}
    stamps = {"queued_ts": 1.0, "scheduled_ts": 1.0, "first_token_ts": 1.1, "last_token_ts": 1.2}
    made.run.write_bytes(gzip.compress(json.dumps(row | stamps).encode()))
    line = said(made)
    assert "run.jsonl.gz, line 1: input_toks" in line
    assert "skip" not in line


def test_a_step_beyond_a_table_names_it(made: Made, said: Callable[..., str]) -> None:
    dense = Path(f"{made.tables}_dense.csv.gz")
    rows = gzip.decompress(dense.read_bytes()).decode().replace("layernorm,1024", "layernorm,7")
    dense.write_bytes(gzip.compress(rows.encode()))
    line = said(made)
    assert line.startswith(f"{dense}: tokens is ")
    assert f"measured up to 7; {made.meta} allows max_num_batched_tokens 256 and max_num_seqs 8" in line


def test_a_cache_too_small_for_a_request_says_whose(made: Made, said: Callable[..., str]) -> None:
    assert "there is KV for 160, 10 blocks of 16 (as given)" in said(made, "--kv-blocks", "10")
    meta = json.loads(made.meta.read_text())
    made.meta.write_text(json.dumps(meta | {"kv_cache": {"num_gpu_blocks": 10}}))
    assert f"there is KV for 160, 10 blocks of 16 (the run's own record, {made.meta})" in said(made)


def test_a_model_that_is_not_known_asks_for_its_config(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([made.tables, str(made.run)]) == 1
    said = capsys.readouterr().err
    assert "the sizes of nobody/made-up-1b are not known here: give its config.json with --config\n" in said


def test_memory_that_nobody_states_is_asked_for(made: Made, said: Callable[..., str], capsys) -> None:
    meta = json.loads(made.meta.read_text())
    made.meta.write_text(json.dumps({name: value for name, value in meta.items() if name != "kv_cache"}))
    assert (
        f"there is no datasheet of 'Imagined Accelerator' (gpu of {made.tables}_profile.meta.yaml): give --kv-"
        in said(made)
    )
    assert main([*made.arguments, "--memory-bytes", "20000000"]) == 0
    assert "(computed: 0.9 of 20000000 bytes (stated) less weights and activations" in capsys.readouterr().out
    assert main([*made.arguments, "--kv-blocks", "30"]) == 0
    assert "KV: 30 blocks of 16 tokens (as given)" in capsys.readouterr().out
    assert without(made, "KV capacity")["E2E"] < without(made, "")["E2E"]
    line = said(made, "--memory-bytes", "1000")
    assert "_profile.meta.yaml: gpu_memory_utilization 0.9: 0.9 of 1000 bytes of memory leave no room" in line
    made.change(gpu_memory_utilization=0.001)
    line = said(made, "--memory-bytes", "20000000")
    assert f"{made.meta}: gpu_memory_utilization 0.001: 0.001 of 20000000 bytes of memory leave no room" in line


def test_what_vllm_resolved_goes_before_what_was_asked_for(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    meta = json.loads(made.meta.read_text())
    resolved = {"scheduler_config": {"max_num_seqs": 4}, "cache_config": {"enable_prefix_caching": False}}
    made.meta.write_text(json.dumps(meta | {"resolved_config": resolved}))
    assert main(made.arguments) == 0
    assert "4 seats, 256 tokens a step, scheduling synchronous, prefix caching off" in capsys.readouterr().out
    assert errors(made)["E2E mean"] > 0.1


REAL = {
    "rtx-pro-6000_llama-3.1-8b": ("vllm-0.19.0_rtx-pro-6000_llama-3.1-8b", 0.03),
    "rtx-pro-6000_qwen3-32b_tp2": ("vllm-0.19.0_rtx-pro-6000x2_qwen3-32b_tp2", 0.03),
}


@pytest.mark.parametrize("tables", REAL)
def test_the_real_runs_are_near(tables: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("TOKENYARD_DATA") or ROOT.parent / "shared" / "data") / "measured"
    run, bound = REAL[tables]
    if not (folder / f"{run}.jsonl.gz").is_file():
        pytest.skip(f"no {run}.jsonl.gz in {folder}")
    made = Made(tmp_path, "", Path(), Path())
    results = ["--results", str(tmp_path / "results")]
    assert main([str(folder / tables), str(folder / f"{run}.jsonl.gz"), *results]) == 0
    found = errors(made)
    assert max(abs(found[f"{metric} mean"]) for metric in ("TTFT", "TPOT", "E2E")) < bound

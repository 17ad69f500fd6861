"""A validation from the command to its tables: what is compared, what is kept, and what is said of it."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from omegaconf import OmegaConf

from experiments.tables.stats import quantile
from experiments.validation import gains, session
from experiments.validation import main as validate
from experiments.validation.engines import COLUMNS
from experiments.validation.replay import compose_case, run_simulated
from experiments.validation.report import judged
from profiles import machine
from profiles.profile import load_path
from tests.conftest import ROOT, make_device

PROFILE = ROOT / "profiles" / "data" / "gpt2" / "cpu.json"
SMALL = [
    f"profile={PROFILE}", "engine=hf", "model=tiny", "rate=[40,60]", "requests=6", "repeats=2", "warmup_requests=1",
    "trace.max_tokens=4", "trace.training_requests=100", "max_num_seqs=2", "threads=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def of_tiny(monkeypatch):
    """The profile that the tests take is said to be of the model that they serve."""
    monkeypatch.setattr(session, "load_path", lambda path: replace(load_path(path), model="tiny"))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # a validation sets them
        monkeypatch.setenv(name, "1")


def table_of(arrivals, first_tokens, ends):
    count = len(arrivals)
    columns = [range(count), arrivals, [4] * count, [3] * count, arrivals, first_tokens, ends, ends]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


class Instant:
    """An engine that serves as the simulator foretells, at once; `died` after so many runs."""

    @property
    def facts(self):
        return {"threads": 1, "cores": machine.running()["cores"]}

    def __init__(self, dies_after=math.inf):
        self.dies_after = dies_after
        self.served = []
        self.closed = False

    @property
    def limits(self):
        return {"max_model_len": 900}

    def anchor(self, batch, context):
        pytest.fail("the profile says none")

    def serve(self, jobs, policy, device, progress, idle):
        assert device.max_model_len == 900
        if len(jobs) > 1:  # no warm-up
            if len(self.served) == self.dies_after:
                raise KeyboardInterrupt
            self.served.append(type(policy.order).__name__)
        for job in jobs:
            assert job.first_scheduled is None
        count = len(jobs)
        arrivals = np.array([job.request.arrival for job in jobs])
        columns = [
            [job.request.id for job in jobs],
            arrivals,
            [job.request.prompt_tokens for job in jobs],
            [job.request.truth.output_tokens for job in jobs],
            *[arrivals + delay + 0.01 * len(self.served) for delay in (0.1, 0.2, 0.5, 0.5)],
        ]
        assert count
        return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))

    def close(self):
        self.closed = True


def run(tmp_path, *more):
    overrides = [*SMALL, f"results={tmp_path}", *more]
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("validate", overrides)
        validate.validate(cfg, overrides)
    return tmp_path / "hf-tiny"


def test_a_validation_that_was_killed_goes_on_and_repeats_nothing(tmp_path, monkeypatch, capsys):
    killed, second = Instant(dies_after=5), Instant()
    monkeypatch.setattr(session, "open_engine", lambda cfg: killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert killed.closed
    monkeypatch.setattr(session, "open_engine", lambda cfg: second)
    root = run(tmp_path)
    turns = [["FIFO", "SJF", "UP"] * 2, ["SJF", "UP", "FIFO"] * 2]  # repeat-major, and nobody is always the first
    assert killed.served + second.served == turns[0] + turns[1]
    assert len(killed.served) == 5
    assert len(list(root.glob("*/requests.parquet"))) == 12
    monkeypatch.setattr(session, "open_engine", lambda cfg: pytest.fail("there is nothing left to serve"))
    run(tmp_path)
    text = capsys.readouterr().out
    assert "fifo at 40 requests/s: 6 requests, 2 real runs" in text
    assert {path.name for path in (root / "figures").glob("*.png")} == {
        f"{policy}-{rate}.png" for policy in ("fifo", "sjf", "up") for rate in (40, 60)
    }


def test_json_is_one_object_a_line_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(session, "open_engine", lambda cfg: Instant())
    run(tmp_path, "json=true", "policies=[fifo,'up policy.order.alpha=3']", "rate=40", "traces=2")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    errors = [row for row in rows if row["kind"] == "error"]
    assert len(errors) == 2 * 2 * 14  # policies, traces, statistics
    assert {row["verdict"].split(",")[0] for row in errors} <= {"within 5 %", "undecided", "outside", "undefined"}
    assert {"measured", "simulated", "error", "spread", "rate", "seed", "policy", "repeats"} <= set(errors[0])
    found = [row for row in rows if row["kind"] == "gain"]
    assert [(row["policy"], row["metric"], row["pairs"]) for row in found] == [
        ("up policy.order.alpha=3", "TTFT", 4),
        ("up policy.order.alpha=3", "E2E", 4),
    ]


def test_without_a_rate_the_simulator_says_what_fifo_can_serve(tmp_path, monkeypatch):
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        overrides = [*SMALL, f"results={tmp_path}", "rate=null", "load=[0.5,1.0]", "policies=[fifo]"]
        done = session.Validation(compose("validate", overrides), overrides)
    low, high = done.rates
    assert high == pytest.approx(2 * low, rel=0.02)
    case = done.cases[low, 0, "fifo"]
    assert len(case.requests) == 6
    assert run_simulated(case, done.device)["finished"].notna().all()


def test_a_real_model_is_served_and_the_tables_are_of_the_same_requests(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from profiles.measuring import models

    sizes = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 50, "n_positions": 1024}
    source = models.Source(config_class="GPT2Config", config=tuple(sizes.items()))
    monkeypatch.setitem(models.SOURCES, "tiny", source)
    root = run(tmp_path, "rate=40", "repeats=1", "policies=[fifo,up_consolidation]")
    report = (root / "report.txt").read_text()
    assert report.strip() in capsys.readouterr().out
    assert "engine=hf (allocator" in report
    assert "threads 1" in report
    assert "cores: [" in report  # the profile that ships does not say where it was measured
    assert "up_consolidation at 40 requests/s: 6 requests, 1 real runs" in report
    assert "one pair" in report


def test_the_gain_is_the_change_of_the_mean_between_paired_runs():
    slow, fast = table_of([0, 1], [2, 3], [4, 5]), table_of([0, 1], [1, 2], [2, 3])
    slower = table_of([0, 1], [2, 3], [5, 6])
    real = {"fifo": {0: [slow, slower]}, "sjf": {0: [fast, fast]}}
    table = gains.gains(real, {"fifo": {0: [slow]}, "sjf": {0: [fast]}}).set_index("metric")
    assert table.loc["TTFT", "measured"] == table.loc["TTFT", "simulated"] == -0.5
    assert table.loc["E2E", "measured"] == pytest.approx(4 / 9 - 1)
    assert table.loc["E2E", "half_width"] == pytest.approx(quantile(2) * 0.05)
    assert table.loc["E2E", "pairs"] == 2
    assert table["inside"].tolist() == [None, True]  # of TTFT both pairs are the same to the last bit: no interval
    assert table["same_sign"].all()
    assert "-55.6 ± 85.7 %" in gains.render(table.reset_index())


def test_an_error_is_judged_by_the_tolerance_and_by_what_the_runs_can_tell():
    table = pd.DataFrame({"error": [0.04, 0.04, -0.2, 0.2, math.nan], "spread": [0.02, 0.3, 0.3, 0.1, 0.1]})
    expected = ["within 5 %", "within 5 %, +- 30.0 %", "undecided, +- 30.0 %", "outside", "undefined"]
    assert judged(table, 0.05)["verdict"].tolist() == expected
    assert judged(table[["error"]], 0.25)["verdict"].tolist()[2] == "within 25 %, one run"
    assert judged(table[["error"]], 0.05)["verdict"].tolist()[2] == "outside"
    told = table.assign(corrected=[0.06, -0.01, 0.01, 0.2, math.nan], detects=[0.04, 0.01, 0.09, 0.21, 0.1])
    expected = ["outside", "within 5 %", "within 5 %, +- 9.0 %", "undecided, +- 21.0 %", "undefined"]
    assert judged(told, 0.05)["verdict"].tolist() == expected


def test_the_command_line_takes_what_the_help_says():
    given = ["--json", "rate=2,3", "load=[0.5]", "rate=null", "policies=fifo,up policy.order.alpha=2", "trace.rate=4"]
    assert validate.arguments([*given, "measure=grid=quick grid.passes=1", "--help"]) == [
        "json=true", "rate=[2,3]", "load=[0.5]", "rate=null", "policies=[fifo,'up policy.order.alpha=2']",
        "trace.rate=4", "measure='grid=quick grid.passes=1'", "--help",
    ]  # fmt: skip
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("validate", validate.arguments(["measure=grid=quick grid.passes=1", "policies=up a=2,fifo"]))
    assert cfg.measure.split() == ["grid=quick", "grid.passes=1"]
    assert cfg.policies == ["up a=2", "fifo"]


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("engine=tgi", "engine must be one of hf, vllm, vllm_server, got 'tgi'"),
        ("repeats=0", "repeats must be positive, got 0"),
        ("rate=[2,-1]", r"rate must be positive, got \[2, -1\]"),
        ("policies=[]", "policies must name one policy or more"),
        ("policy=sjf", r"policy=sjf: say policies=\[sjf,...\]"),
        ("profile=nowhere.json", "nowhere.json"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_begun(tmp_path, override, error):
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        run(tmp_path, override)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    line = [sys.executable, "-m", "experiments.cli", "validate", "engine=tgi", "--json", f"results={tmp_path}"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert done.stderr == "tokenyard validate: engine must be one of hf, vllm, vllm_server, got 'tgi'\n"
    assert done.stdout == ""


@pytest.mark.parametrize(("rows", "batches"), [(1, "[1,2]"), (3, "[1,2,3]"), (40, "24,32,40]")])
def test_a_profile_has_every_number_of_rows_of_a_batch(rows, batches):
    cfg = OmegaConf.create({"max_num_seqs": rows, "max_num_batched_tokens": 512})
    quick, decode, prefill = session.own_grid("hf", cfg)
    assert quick == "grid=quick"
    assert decode.startswith("grid.decode.batch=[1")
    assert decode.endswith(batches)
    assert prefill.endswith(batches)
    of_vllm = session.own_grid("vllm", cfg)
    assert decode in of_vllm
    assert "grid.max_prefill_tokens=512" in of_vllm


def test_a_profile_of_another_model_or_engine_is_refused():
    of = {"model": "tiny", "profile": "a.json"}
    found = session.load_path(PROFILE)
    assert session.matching(found, OmegaConf.create(of), "hf") is found
    with pytest.raises(ValueError, match=r"a.json is of tiny by hf, where tiny by vllm is wanted"):
        session.matching(found, OmegaConf.create(of), "vllm")
    with pytest.raises(ValueError, match="is of tiny by hf, where gpt2 by hf is wanted"):
        session.matching(found, OmegaConf.create({**of, "model": "gpt2"}), "hf")


@pytest.mark.parametrize(
    ("setting", "said"),
    [("policies=[fifo,foo]", "unknown policy 'foo'; known: .*fifo"), ("requests=0", "requests must be positive, got 0"),
     ("tolerance=-1", "tolerance must not be negative, got -1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_measured(setting, said):
    with initialize_config_module("experiments.conf", version_base="1.3"):
        cfg = compose("validate", [setting])
    with pytest.raises(ValueError, match=said):
        session.check(cfg, [setting])


def test_requests_that_call_out_are_not_given_to_a_real_engine():
    calling, said = ["trace=augmented", "predictor=oracle", "requests=20"], "given plain requests here, .* call out"
    with initialize_config_module("experiments.conf", version_base="1.3"), pytest.raises(ValueError, match=said):
        compose_case(calling, "fifo", 1.0, 0, make_device())

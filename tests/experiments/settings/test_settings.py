"""Every setting is read, or refused before anything runs, in one line that names it and says what would be right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experiments.run.references import leaves
from experiments.run.run import _ready
from experiments.settings.covering import jobs
from experiments.settings.helps import commented
from experiments.settings.parts import batching_problems
from experiments.settings.reached import Reads
from experiments.settings.signatures import mismatch
from experiments.settings.toplevel import TOP_LEVEL, checked_folder
from experiments.settings.wording import SettingError
from sim import Execution, Order
from tests.experiments.run.test_run import CONF, small, typed  # noqa: F401 - a fixture

FOUR_ROWS = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:20:{second:02}.0,9,5\n" for second in (10, 11, 11, 14)
)


@pytest.fixture
def said(monkeypatch, tmp_path):
    """What is wrong with a command line: a line for each problem."""

    def refused(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["tokenyard"])
        (tmp_path / "azure.csv").write_text(FOUR_ROWS)
        arguments = tuple(one.replace("FILE", str(tmp_path / "azure.csv")) for one in arguments)
        where = [] if any(one.startswith("results=") for one in arguments) else [f"results={tmp_path}"]
        try:
            _ready([*arguments, *where])
        except SettingError as error:
            return list(error.lines)
        return []

    return refused


TEN = "trace.source.path=x"
STORED = "trace=azure_2023_conv trace.path=FILE"
AZURE = f"{STORED} predictor=oracle"
CACHED = "trace=multi_turn predictor=oracle cluster.devices.gpu.prefix_caching=true"


class NoExecution:
    """A batching as it was before it told its level."""

    @property
    def execution(self):
        return Execution(max_num_seqs=4)

    def select(self, waiting, running, now):
        return waiting


class Peeking(Order):
    """What an order must not be."""

    def rank(self, job, now):
        return job.request.truth.output_tokens


BEST_EFFORT = "cluster=opt_family trace=best_effort policy=best_effort_threshold predictor=constant_given"
REFUSED = [  # settings, and how the line begins and goes on
    ("seed=-1", "seed=-1 must be at least 0"),
    ("horizon=0", "horizon=0 must be above 0", " s"),
    ("horizon=0.001", "horizon=0.001 leaves nothing to measure: warmup=0.1 of the arrivals' span ends at"),
    ("cluster.devices.gpu.kv_tokens=10", "cluster.devices.gpu.kv_tokens=10 is less than one block"),
    ("cluster.devices.gpu.kv_tokens=0", "cluster.devices.gpu.kv_tokens=0 must be a whole number, from 1"),
    ("trace.rate=abc", "trace.rate=abc must be a finite number"),
    ("cluster.devices.gpu.count=1.5", "cluster.devices.gpu.count=1.5 must be a whole number, from 0 to 1,000"),
    ("trace.requests=1e9", "trace.requests=1e9 must be from 1 to 10,000,000 requests"),
    ("trace.requests=1e3", "trace.requests=1e3 must be a whole number, or null, written 1000"),
    ("+slow.ttft_p99=1", "slow.ttft_p99=1 is read by nothing"),
    ("policy=fifo slo.ttft_p99=1", "slo.ttft: static batches show no first token: policy/batching=continuous does"),
    ("+foo.bar=1", "foo.bar=1 is read by nothing"),
    ("+sed=1", "sed=1 is read by nothing", "did you mean seed?"),
    ("model=gpt2 cluster=llama_8b", "model=gpt2 is ignored: cluster=llama_8b names its own model, llama-3.1-8b"),
    ("load=0.9 trace.rate=20", "load=0.9 and trace.rate=20 contradict"),
    ("trace=closed_loop predictor=oracle load=0.5", "load=0.5 needs a trace with a rate"),
    ("name=../../x", "name=../../x must name a folder within results"),
    ("name=/tmp/x", "name=/tmp/x must name a folder within results"),
    (f"name={'n' * 300}", "name=nnn", "(300 characters) must be at most 255 bytes"),
    ("leap=maybe", "leap=maybe must be true or false"),
    ("record=step", "record=step must be requests, steps or jobs; did you mean steps?"),
    ("policy=rtml", "policy=rtml: no such option; did you mean rtlm?"),
    ("policy=up policy.order.alhpa=1", "policy.order.alhpa=1: no such setting; did you mean policy.order.alpha?"),
    ("policy/ordr=fifo", "policy/ordr=fifo: no such group; did you mean policy/order"),
    ("policy=up policy.order.alpha=true", "policy.order.alpha=true must be a finite number"),
    ("policy.order._target_=policies.order.aging.Agin", "policy.order._target_", "did you mean Aging?"),
    ("policy.order._target_=policies.eviction.swap.Swap", "policy.order=policies.eviction.swap.Swap is no order"),
    (
        f"policy.order._target_={__name__}.Peeking",
        f"policy.order={__name__}.Peeking",
        f"{__name__} reads the true output length",
    ),
    ("trace.rate=[1", "trace.rate=[1 is no setting as key=value"),
    (
        "predictor=oracle predictor._target_=policies.eviction.swap.Swap",
        "predictor=policies.eviction.swap.Swap is no predictor: it must derive from sim.Predictor",
    ),
    ("foo", "foo is no setting as key=value", "foo=VALUE"),
    ("trace.rate=1,2", "trace.rate=1,2 is several values: for a run of each give -m"),
    ("trace=parquet", "trace.path is missing"),
    ("trace.rate=${foo}", "trace.rate=${foo} cannot be resolved"),
    ("seed=1 seed=2", "seed=1 and seed=2 are two values for one setting"),
    ("policy=sjf system=fifo", "system=fifo goes with policy=fifo, got sjf"),
    ("system=rtlm_recalled policy.order.alpha=2", "policy.order.alpha=2: system=rtlm_recalled says"),
    ("policy/routing=prefix_affinity", "policy/routing=prefix_affinity needs a trace with prompt ids"),
    ("cluster.devices.gpu.prefix_caching=true", "cluster.devices.gpu.prefix_caching=true needs a trace with"),
    ("reward=best_effort trace=poisson predictor=prompt_length", "reward=best_effort needs a trace with tasks"),
    ("reward=best_effort reward.window=0", "reward.window=0: window must be positive and finite seconds, got 0"),
    ("reward=best_effort reward.soft=1", "reward.soft=1: soft must be later than hard=1.54, got 1"),
    ("reward=best_effort reward.hard=soon", "reward.hard=soon must be a finite number"),
    ("policy/order=priority", "policy/order=priority needs a trace with priorities"),
    ("trace=poisson predictor=rules", "predictor=rules needs a trace with text"),
    ("calibration.kappa=3", "calibration.kappa=3 is read by nothing here: kappa is found and told"),
    ("calibration.malicious_quantile=0.8", "calibration.malicious_quantile=0.8 is read by nothing here", "no tau"),
    ("policy=rtlm calibration.malicious_quantile=1.5", "calibration.malicious_quantile=1.5 must be at least 0"),
    ("policy=rtlm cluster.devices.cpu.count=0", "policy=rtlm, policy/routing=offload: no device of kind 'cpu'"),
    ("cluster=prefill_decode policy/routing=disaggregation cluster.link=null", "cluster.link=null cannot be null"),
    ("cluster.steps_together=yes", "cluster.steps_together=yes must be true or false"),
    ("cluster.steps_together=true audit=true", "audit=true: the memory of a cluster with cluster.steps_together=true"),
    ("cluster=llama_8b cluster.devices.cpu.profile.device=l40s", "cluster.devices.cpu.profile.device=l40s: device cpu"),
    ("cluster.devices.gpu.profile.model=gpt2", "cluster.devices.gpu.profile.model=gpt2", "hold several models"),
    (
        f"{BEST_EFFORT} policy.routing.models=[opt-6.7b,nope,opt-125m]",
        "policy=",
        "no device serves 'nope'",
    ),
    (
        f"{BEST_EFFORT} policy.routing.models=[opt-6.7b,opt-6.7b,opt-125m]",
        "policy.routing",
        "models must differ",
    ),
    (
        f"{BEST_EFFORT} trace.shift_at=5",
        "trace",
        "shift_at=5 shifts nothing",
    ),
    (
        f"{BEST_EFFORT} reward=best_effort ~reward.quality.copa",
        "reward=best_effort",
        "has no task copa of trace=best_effort",
    ),
    (
        f"{BEST_EFFORT} reward=best_effort cluster.devices.small.profile.model=opt-13b "
        "policy.routing.models=[opt-6.7b,opt-1.3b,opt-13b]",
        "reward=best_effort",
        "has no opt-13b of cluster=opt_family",
    ),
    ("-m seed=range(1000000000)", "seed=range(1000000000) is more than 100,000 runs"),
    ("--fast", "unrecognized arguments: --fast"),
    ("policy=up policy.order.alpha=1e999", "policy.order.alpha=1e999 must be a finite number"),
    ("predictor=rules predictor.rules=[0,9]", "predictor.rules=[0,9] must be from 0 to 5"),
    ("trace=parquet trace.path=x trace.unit=ms", "trace.unit=ms: this format has no unit to set"),
    (f"{AZURE} +trace.unit=ms", "trace.unit=ms: this format has no unit to set"),
    (f"trace=transformed trace@trace.source=parquet {TEN} trace.source.unit=ms", "trace.source.unit=ms: this format"),
    ("warmup=0.5 horizon=0.9", "horizon=0.9 leaves nothing to measure: warmup=0.5"),
    (f"{AZURE} horizon=1e-9", "horizon=1e-09 leaves nothing to measure"),
    (f"{AZURE} warmup=0.5 horizon=2", "horizon=2 leaves nothing to measure", "ends at 2 s", "comes at 4 s"),
    (
        f"{STORED} predictor=prompt_length warmup=0.5 horizon=2",
        "horizon=2 leaves nothing",
        "ends at 1.5 s",
        "comes at 3 s",
    ),
    (f"{AZURE} trace.window=5", "trace.window=5 is more than the 4 requests", "(0 more are kept for training)"),
    (
        f"{STORED} predictor=prompt_length trace.window=4",
        "trace.window=4 is more than the 3 requests",
        "(1 more are kept",
    ),
    (f"{CACHED} policy=fifo", "cluster.devices.gpu.prefix_caching=true changes nothing: the batching of gpu is static"),
    ("policy/eviction=swap", "policy/eviction=swap changes nothing: nobody is preempted", "policy/batching=static"),
    ("policy/eviction=swap policy/batching=orca", "policy/eviction=swap changes nothing", "policy/batching=orca"),
    ("-m policy/eviction=recompute,swap policy/batching=static,orca", "policy/eviction=swap changes nothing"),
    ("policy=fifo decoding=bernoulli", "decoding=bernoulli needs a batching at iteration level", "gpu is static"),
    ("policy=vllm decoding=bernoulli", "decoding=bernoulli needs policy.batching.plans_ahead=0, got 1 for gpu"),
    ("policy=vllm cluster=infllm", "policy.batching.max_num_seqs=128: gpu has room for 31 windows of llama-3-8b"),
    ("cluster.devices.gpu.max_model_len=9999999", "cluster.devices.gpu.max_model_len=9999999 must be at most 8192"),
    ("-m policy=glob(zz*)", "policy=glob(zz*) matches no option of policy; there are a_min, alise, best_effort, "),
    ("-m seed=glob(*)", "seed=glob(*) matches no option of seed"),
    (
        "-m policy=fifo,rtlm reference=rtlmm",
        "reference=rtlmm is no run of this command: there is fifo, rtlm; did you mean",
    ),
    (
        "-m policy=fifo,rtlm reference='foo.bar=1'",
        "reference=foo.bar=1 is no run of this command: they differ in policy",
    ),
    ("-m policy=fifo,rtlm reference='policy/routing=gpus'", "reference=policy/routing=gpus is no", "did you mean gpu?"),
    ("-m policy=fifo trace.rate=4,8 reference='trace.rate=5'", "reference=trace.rate=5 is no", "trace.rate is 4, 8"),
    ("policy=sjf reference=fifo", "reference=fifo is no run of this command: there is sjf"),
    ("load=0.9 load_of=foo", "load_of="),
    ("load=0.9 load_of='system=fifoo'", "load_of="),
    ("gpu.count=1.5", "gpu.count=1.5: no such setting; did you mean cluster.devices.gpu.count?"),
    ("kv_tokens=10", "kv_tokens=10: no such setting; did you mean cluster.devices.gpu.kv_tokens or"),
    ("predictor=oracle predictor.seed=3", "predictor.seed=3: no such setting", "predictor has no settings"),
    ("model=gtp2", "model=gtp2: no such model; did you mean gpt2?; there are bart-base"),
    ("-m policy=fifo,rtlm seed=0,1,-1", "seed=-1 must be at least 0"),
    ('seed="1"', "seed='1' must be a whole number"),
    ("trace=poisson predictor=oracle resample='${oc.env:NO_SUCH}'", "resample=${oc.env:NO_SUCH} cannot be resolved"),
    ("~unservable", "unservable is missing: it cannot be taken away"),
    ("=3", "=3 is no setting as key=value: it names no setting"),
]


@pytest.mark.parametrize(("settings", "words"), [(one[0], one[1:]) for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_what_is_wrong_is_refused_in_one_line(said, settings, words):
    lines = said(*settings.split(" "))
    assert len(lines) == 1, lines
    assert lines[0].startswith(words[0])
    for word in words[1:]:
        assert word in lines[0]


@pytest.mark.parametrize(
    "settings",
    [
        "name=20261128",
        "-m trace.rate=1,1.0",
        "seed=[0,1] -m policy=fifo,rtlm calibration.malicious_quantile=0.8",  # the one that offloads reads it
        "model=llama-3.1-8b cluster=llama_8b policy/batching=continuous",
        "cluster=llama_8b cluster.devices.gpu.profile.device=h100_sxm",  # the derived CPU follows
        "+policy.eviction._convert_=all horizon=1.5 record=steps leap=false warmup=0",
        "cluster=prefill_decode policy/routing=disaggregation policy/batching=continuous",
        "trace=multi_turn predictor=prompt_length policy/batching=continuous cluster.devices.gpu.prefix_caching=true",
        "system=sjf_oracle policy=sjf predictor=oracle",
        f"{AZURE} policy/batching=continuous",  # its window of 2,000 is up to so many
        f"{AZURE} trace.window=4 warmup=0.5 horizon=4.5",
        "policy/eviction=swap policy/batching=continuous cluster.devices.gpu.max_model_len=8192",
        "-m policy/eviction=recompute,swap policy/batching=static,vllm_v0",
        "-m policy=glob(*,exclude=best_effort*) predictor=oracle",
        "-m policy=fifo,up trace.rate=4,8 reference='trace.rate=4.0'",
        "-m policy=up policy.order.alpha=-1,1 reference=up",
        "-m system=fifo,rtlm_recalled reference=rtlm_recalled",
        "load=0.9 load_of='system=sjf_oracle'",
    ],
)
def test_what_is_right_is_not_refused(said, settings):
    assert said(*settings.split(" ")) == []


def test_a_system_whose_capacity_is_asked_for_is_one(said):
    [line] = said("load=0.9", "load_of='system=fifo cluster.devices.gpu.count=8'")
    assert "load_of=" in line


def test_all_options_of_a_group_are_swept_by_glob(tmp_path, typed):  # noqa: F811
    code, errors = typed(tmp_path, "-m", *small("policy=glob(*uf)", "predictor=oracle"), "hydra.launcher.n_jobs=1")
    assert (code, "2 runs: 2 made now" in errors) == (0, True), errors


def test_every_problem_of_a_sweep_is_told_once(said):
    lines = said("-m", "policy=fifo,best,sjf", "trace.rate=4,-1", "cluster.devices.gpu.count=1,2,x", "seed=range(50)")
    assert len(lines) == 3
    assert {line.split(" ")[0].rstrip(":") for line in lines} == {
        "policy=best", "trace.rate=-1", "cluster.devices.gpu.count=x",
    }  # fmt: skip


def test_nothing_is_run_and_nothing_is_left_when_a_setting_is_refused(tmp_path, typed):  # noqa: F811
    code, errors = typed(tmp_path, "-m", *small("policy=fifo,sjf", "seed=range(3)", "trace.requests=x"))
    assert code == 1
    assert errors == "trace.requests=x must be a whole number\n"
    assert list(tmp_path.iterdir()) == []


SIZES = (("a", 6), ("b", 5), ("c", 8), ("seed", 9))


def test_a_sweep_too_wide_is_looked_at_pair_by_pair():
    axes = [(key, [f"{key}={value}" for value in range(size)]) for key, size in SIZES]
    seen = list(jobs(axes, 100))
    assert len(seen) < 100
    for (_, ours), (_, theirs) in [(axes[i], axes[j]) for i in range(3) for j in range(i)]:
        assert {(one, other) for one in ours for other in theirs} <= {
            (one, other) for job in seen for one in job for other in job
        }
    assert {text for job in seen for text in job if text.startswith("seed")} == {"seed=0"}
    assert len(list(jobs(axes, 10_000))) == 6 * 5 * 8


def test_a_name_stays_within_the_results(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "out").symlink_to(tmp_path)
    (tmp_path / "results" / "file").write_text("")
    assert checked_folder(str(tmp_path / "results"), "a/b") == tmp_path / "results" / "a" / "b"
    for name in (20261128, "a..b", "é" * 127):
        assert checked_folder("r", name) == Path("r") / str(name)
    wrong = ["..", ".", "a/../../b", "/x", "", " ", "a\nb", "a\0b", None, True, [1], "x" * 300, "é" * 128]
    for name in ("out", "file", "file/x", *wrong):
        with pytest.raises(SettingError, match=r"^name="):
            checked_folder(str(tmp_path / "results"), name)
    with pytest.raises(SettingError, match=r"^results=.*is a file"):
        checked_folder(str(tmp_path / "results" / "file"), "a")


def test_every_setting_of_a_run_is_in_the_table():
    top = set(commented_names(CONF / "config.yaml")) - {"model", "calibration"}
    assert top <= set(TOP_LEVEL)


GROUPS = ("cluster", "policy", "predictor", "reward")


def commented_names(file: Path) -> list[str]:
    return [name.split(".")[0] for name, _ in commented(file)]


FILES = [CONF / "config.yaml", *(file for group in GROUPS for file in sorted((CONF / group).rglob("*.yaml")))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_setting_has_a_comment(file):
    bare = [name for name, comment in commented(file) if not comment and not name.rsplit(".", 1)[-1].startswith("_")]
    assert bare == []


def test_help_shows_each_setting_with_its_comment(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tokenyard"])
    assert not _ready(["policy=rtlm", "trace=poisson", "trace.rate=7", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for line in (
        "trace.rate=7 # requests/s, the mean",
        "policy.batching.max_wait=0.0 # xi, s;",
        "horizon=null # stop at this instant (s)",
        "trace/lengths: alpaca, alpaca_llama3, cnn_dm, copied, fixed, iwslt, lmsys, lmsys_llama3, lognormal",
    ):
        assert line in shown
    assert "hydra" not in shown.lower()


def test_references_are_followed():
    reads = Reads(_config())
    assert "a.b" in reads
    assert "a.c" not in reads
    assert reads.source("policy.x") == "a.d"
    assert reads.source("trace.y") == "trace.y"


def _config():
    from omegaconf import OmegaConf

    return OmegaConf.create(
        {"policy": {"x": "${a.b}"}, "trace": {"y": "n${..w}", "z": 1}, "a": {"b": "${a.d}", "c": 2, "d": 3}, "seed": 0}
    )


def test_leaves_are_named_by_dots():
    named = {"a.b": 1, "a.c": {}, "d": [1, 2], "e.0.f": 3}
    assert leaves({"a": {"b": 1, "c": {}}, "d": [1, 2], "e": [{"f": 3}]}) == named


@pytest.mark.parametrize(
    ("value", "hint", "right"),
    [
        (1, float, True), (True, float, False), (1.0, int, False), (float("nan"), float | None, False),
        (None, int, False), (None, int | None, True), ([1, 2], list[float], True), ([1, "a"], list[float], False),
        ("a", str | Path, True),
        ({"a": "x"}, dict[str, float], False), ([[1]], list[list[int]], True), (0, bool, False),
    ],
)  # fmt: skip
def test_types_are_what_annotations_say(value, hint, right):
    assert (mismatch(value, hint) is None) is right


def test_a_batching_that_cannot_say_its_execution_is_told():
    [line] = batching_problems(NoExecution(), "policy.batching=mine")
    assert line.startswith("policy.batching=mine cannot say its execution: TypeError")

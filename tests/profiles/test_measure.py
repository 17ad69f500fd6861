"""Measuring for real, on a model of two layers: the passes run, the cache is as long as stated, the files are there."""

import json
import math

import pandas as pd
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from profiles import machine
from profiles.point import decode_point, grid_points, prefill_point
from profiles.profile import load_path
from profiles.release import uncorrected

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 50, "n_positions": 64}
TINY_GRID = [
    "grid.passes=2",
    "grid.prefill.batch=[1,2]",
    "grid.prefill.new=[4,8,16]",
    "grid.prefill.chunk=[4,8]",
    "grid.prefill.computed=[16,64]",
    "grid.decode.batch=[1,2,4]",
    "grid.decode.context=[8,16,64]",
    "grid.anchor=[1,16]",
    "threads=1",
]


@pytest.fixture
def tiny_model(monkeypatch):
    """`model=tiny` is GPT-2 with two layers and random weights."""
    from profiles.measuring import models

    source = models.Source(config_class="GPT2Config", config=tuple(SIZES.items()))
    monkeypatch.setitem(models.SOURCES, "tiny", source)
    threads = torch.get_num_threads()
    yield "tiny"
    torch.set_num_threads(threads)


@pytest.fixture
def forward(tiny_model):
    from profiles.measuring import models
    from profiles.measuring.forward import Forward

    return Forward(models.load(tiny_model), seed=0)


def config(output, *overrides):
    with initialize_config_module("profiles.conf", version_base="1.3"):
        return compose("measure", [*TINY_GRID, "model=tiny", f"output={output}", *overrides])


def test_a_pass_computes_the_stated_tokens_after_the_stated_context(forward, monkeypatch):
    seen = []
    original = forward.model.forward

    def watched(tokens, **arguments):
        before = arguments["past_key_values"].get_seq_length()
        out = original(tokens, **arguments)
        seen.append((tuple(tokens.shape), before, out.logits.shape[1]))
        return out

    monkeypatch.setattr(forward.model, "forward", watched)
    for point in (decode_point(4, 16), prefill_point(2, 8), prefill_point(1, 8, 5)):
        assert forward(point) > 0
    assert seen == [((4, 1), 15, 1), ((2, 8), 0, 1), ((1, 8), 5, 1)]
    assert forward.agreement(batch=2, computed=16, rounds=3) > 0


def test_warm_ups_and_repeats_are_passes_of_their_own(forward, monkeypatch):
    lengths = []
    monkeypatch.setattr(forward.passes, "step", lambda state, tokens: lengths.append(state.cache.get_seq_length()))
    forward.warmups, forward.repeats = 2, 3
    forward(decode_point(1, 9))
    assert lengths == [8] * 5


def test_a_measurement_leaves_a_profile_its_samples_and_a_picture(tiny_model, tmp_path, monkeypatch):
    from profiles.measure import measure

    monkeypatch.setattr("sys.argv", ["measure", "model=tiny", f"output={tmp_path}/cpu.json"])
    path = measure(config(tmp_path / "cpu.json"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cpu.json", "cpu.png", "cpu.samples.parquet"]
    profile = load_path(path)
    assert (profile.model, profile.device, profile.kind, profile.max_model_len) == ("tiny", "cpu", "measured", 64)
    assert profile.kv_bytes_per_token == 512
    facts = profile.provenance
    assert facts["weights"] == "random"
    assert facts["parameter_count"] > 0
    assert facts["threads"] == 1
    assert facts["command"] == "tokenyard profile measure model=tiny"
    assert (facts["engine"], facts["allocator"]) == ("hf", machine.keep_freed_memory())
    assert facts["cores"] == machine.running()["cores"]
    assert facts["anchor"]["decode"]["readings"] == len(facts["anchor_readings"]) == 2 * (1 + math.ceil(19 / 4))
    assert set(facts["residuals"]) == set(facts["residuals_uncorrected"]) == {"prefill", "decode"}
    samples = pd.read_parquet(tmp_path / "cpu.samples.parquet")
    assert len(samples) == 2 * 19
    assert (samples["raw_seconds"] != samples["seconds"]).any()
    assert uncorrected(path, profile).decode != profile.decode
    assert len(facts["samples_sha256"]) == 64
    assert facts["model_config"]["num_hidden_layers"] == 2


def test_a_killed_measurement_is_resumed_and_another_is_refused(tiny_model, tmp_path, monkeypatch):
    from profiles.measure import measure
    from profiles.measuring import forward as timing

    original, calls = timing.Forward.__call__, []

    def killed(self, point):
        calls.append(point)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return original(self, point)

    monkeypatch.setattr(timing.Forward, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(config(tmp_path / "cpu.json"))
    partial = tmp_path / "cpu.partial.jsonl"
    kept = [json.loads(line) for line in partial.read_text().splitlines()]
    seconds = [event["seconds"] for event in kept if "seconds" in event]
    assert len(seconds) > 5
    with pytest.raises(ValueError, match="seed: 0 there, 5 now"):
        measure(config(tmp_path / "cpu.json", "seed=5"))
    profile = load_path(measure(config(tmp_path / "cpu.json")))
    samples = pd.read_parquet(tmp_path / "cpu.samples.parquet")
    assert samples["raw_seconds"].tolist()[: len(seconds)] == seconds
    assert profile.provenance["samples"] == len(samples)
    assert not partial.exists()


def test_what_cannot_be_measured_is_refused_by_name(tiny_model, tmp_path):
    from profiles.measure import measure

    with pytest.raises(ValueError, match=r"unknown model 'gpt9'; known: bart-base, .*gpt2, .*tiny"):
        measure(config(tmp_path / "cpu.json", "model=gpt9"))
    with pytest.raises(ValueError, match="engine must be hf or vllm, got 'sglang'"):
        measure(config(tmp_path / "cpu.json", "engine=sglang"))
    with pytest.raises(ValueError, match=r"output must be a .json file"):
        measure(config(tmp_path / "cpu.txt"))


@pytest.mark.parametrize("grid", ["quick", "full", "gpu", "large", "vllm"])
def test_the_grids_compose_and_reach_the_models_length(grid):
    with initialize_config_module("profiles.conf", version_base="1.3"):
        chosen = compose("measure", [f"grid={grid}"]).grid
    points = grid_points(chosen, 1024)
    assert max(point.new + point.computed for point in points) in (1023, 1024)
    assert {point.phase for point in points} == {"prefill", "decode"}
    assert OmegaConf.to_container(chosen)["passes"] >= 3


def test_the_bandwidth_of_a_copy_is_positive():
    from profiles.measuring.forward import copy_bandwidth

    assert copy_bandwidth(torch.device("cpu"), size_bytes=2**16, repeats=1) > 0


def test_mixed_steps_are_compared_with_what_the_curves_make_of_them(tiny_model, tmp_path):
    from profiles.measure import measure, time_mixed
    from profiles.release import mixed_table
    from sim.step import Step, attended_tokens

    profile = load_path(measure(config(tmp_path / "cpu.json")))

    class Timed:
        def __init__(self):
            self.asked = []

        def mixed(self, new, batch, context):
            self.asked.append((new, batch, context))
            return float(len(self.asked))

    grid = OmegaConf.create({"passes": 3, "new": [4, 8], "batch": [2], "context": [16]})
    table = mixed_table(profile, time_mixed(Timed(), grid))
    assert table[["new", "batch", "context"]].values.tolist() == [[4, 2, 16], [8, 2, 16]]
    assert table["median"].tolist() == [3.0, 4.0]
    assert table["fitted"].tolist() == [profile.step_time(Step(new, attended_tokens(new, 0), 2, 32)) for new in (4, 8)]


@pytest.mark.parametrize(
    ("setting", "said"),
    [("device=foo", "device must be one of torch's"), ("dtype=foo", "dtype must be one of torch's"),
     ("threads=-1", "threads must be"), ("grid.passes=0", "grid.passes must be positive"),
     ("grid.anchor_every=0", "grid.anchor_every must be positive"),
     ("cores=[77777]", r"cores=\[77777\]: this process may"),
     ("cores=1", "cores must be a list of CPUs"), ("engine=foo", "engine must be hf or vllm")],
)  # fmt: skip
def test_a_setting_that_cannot_be_measured_is_named_and_leaves_nothing(tiny_model, tmp_path, setting, said):
    from profiles.measure import measure

    with pytest.raises(ValueError, match=said):
        measure(config(tmp_path / "cpu.json", setting))
    assert list(tmp_path.iterdir()) == []

"""A replica by the names of its model and its device: stored, composed, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.run.inputs import build_cluster, kv_room, profile_provenance
from profiles import analytic
from profiles.composed import Composed
from profiles.devices import CONFIGS
from profiles.one import one
from profiles.profile import DeviceProfile, load_path
from sim.step import Step
from tests.door import composed, decide
from tests.profiles.test_analytic import SMALL, config_of
from tests.profiles.test_huggingface import made

SETTINGS = ("policy=fifo", "policy/batching=continuous", "predictor=oracle", "trace=poisson", "trace.requests=20")


def test_a_stored_profile_is_taken_where_there_is_one() -> None:
    stored = one("llama-3.1-8b", "h100_sxm")
    assert isinstance(stored, DeviceProfile)
    assert stored.kind == "imported"
    assert one("llama-3-70b", "a100_40gb_tp8_analytic") == one("llama-3-70b", "a100_40gb_tp8_analytic", "stored")
    assert one("bloom-176b", "a100_sxm", tensor_parallelism=8).device == "a100_sxm_tp8"
    composed_one = one("llama-3.1-8b", "h100_sxm", "composed")
    assert isinstance(composed_one, Composed)
    assert composed_one.kind == "analytic"


def test_what_is_not_stored_is_composed_and_its_memory_is_what_the_weights_leave(tmp_path: Path) -> None:
    profile = one(made(tmp_path), "b200", utilization=0.5, max_model_len=100)
    weights = 2 * profile.sizes.parameter_count
    kv = 2 * 4 * 2 * 16 * 2  # keys and values, layers, heads of 16, bytes
    assert (profile.model, profile.device, profile.max_model_len) == ("made", "b200", 100)
    assert profile.kv_capacity_tokens == (0.5 * 180_000_000_000 - weights) // kv
    shared = one(made(tmp_path), "b200", tensor_parallelism=2, utilization=0.5)
    assert (shared.kv_bytes_per_token, shared.sizes.kv_heads) == (kv, 1)
    assert shared.kv_capacity_tokens == pytest.approx(2 * profile.kv_capacity_tokens, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("llama-3.1-8b", "h100"),
            r"no profile llama-3\.1-8b/h100\.json .*no datasheet of device 'h100', .* h100_sxm\?",
        ),
        (
            ("llama-3.1-9b", "h100_sxm"),
            r"no sizes of model 'llama-3\.1-9b', did you mean llama-3\.1-8b\?: give the path",
        ),
        (("llama-3.1-8b", "h100_sxm", "measured"), "source must be null, stored or composed, got 'measured'"),
        (("llama-3.1-8b", "h200", "stored"), "no profile of llama-3.1-8b on h200"),
    ],
)
def test_what_nobody_knows_is_refused_by_its_name(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        one(*given)


def test_settings_of_a_composed_profile_are_refused_where_a_stored_one_is_taken() -> None:
    with pytest.raises(ValueError, match=r"dtype=float16: of a composed profile, and llama-3\.1-8b/h100_sxm\.json is"):
        one("llama-3.1-8b", "h100_sxm", dtype="float16")
    assert one("llama-3.1-8b", "h100_sxm", "composed", dtype="float16").dtype == "float16"
    eight = one("llama-3.1-8b", "h100_sxm", "composed", weights="int8")
    assert eight.weight_bytes == 8_030_261_248
    with pytest.raises(ValueError, match="tensor_parallelism must be at least 1 device, got 0"):
        one("gpt2", "l40s", tensor_parallelism=0)


def test_a_cluster_of_replicas_has_no_device_beside_them(tmp_path: Path) -> None:
    path = made(tmp_path)
    cfg = composed(*SETTINGS, "cluster=one", f"model={path}", "device=mi300x", "count=3", "tensor_parallelism=2")
    cluster = build_cluster(cfg.cluster)
    assert [device.name for device in cluster.devices] == ["gpu0", "gpu1", "gpu2"]
    assert profile_provenance(cluster)["gpu2"] == "made/mi300x_tp2 (analytic)"
    profile = cluster.devices[0].profile
    stated = f"(0.9 of 384,000,000,000 bytes less {profile.weight_bytes:,} of weights), activations not taken off"
    assert kv_room(cluster)["gpu0"] == f"{profile.kv_capacity_tokens:,} tokens {stated}"


def test_a_run_on_a_config_that_nobody_prepared(tmp_path: Path) -> None:
    settings = (*SETTINGS, "cluster=one", "device=rtx_4090", "trace.rate=50")
    metrics, tables = decide(*settings, f"model={made(tmp_path, model_type='gemma2', sliding_window=64)}")
    assert metrics["counts"]["rejected"] == 0
    assert metrics["provenance"]["gpu"] == "made/rtx_4090 (analytic)"
    assert len(tables.requests["id"]) == 20
    assert set(tables.requests["replica"]) == {"gpu"}


def test_a_profile_of_a_window_is_fitted_to_what_its_layers_see(tmp_path: Path) -> None:
    """All layers but a sixth see 256 tokens: no one line in the context would do."""
    sizes = {"model_type": "gemma3_text", "sliding_window": 256, "num_hidden_layers": 6, "head_dim": 128}
    path = made(tmp_path, **sizes, num_attention_heads=32, num_key_value_heads=16)
    small = (*SMALL, "grid.decode.context=[16,128,512,2048,4096]", "grid.prefill.computed=[16,256,2048]")
    output = tmp_path / "made" / "mine.json"
    profile = load_path(analytic.make(config_of(f"model={path}", "device=h200", *small, f"output={output}")))
    assert (profile.model, profile.window, profile.windowed) == ("made", 256, 5 / 6)
    assert profile.provenance["assumptions"]["window"].startswith("[A] layers with a window keep the KV")
    exact = one(path, "h200")
    for jobs, context in ((4, 200), (4, 1024), (4, 1025), (8, 30000)):
        line = profile.decode_line(jobs, context)
        assert line.since <= context <= line.until
        step = Step(decode_jobs=jobs, decode_context=context)
        assert profile.step_time(step) == pytest.approx(line.base + line.slope * context)
        assert profile.step_time(step) == pytest.approx(exact.step_time(step), rel=0.02)
    assert json.loads(output.read_text())["window"] == 256
    stored = one("made", "mine", folder=tmp_path)
    assert stored == profile
    plain = analytic.make(config_of("model=gpt2", "device=l40s", *SMALL, f"output={tmp_path / 'l40s.json'}"))
    assert "window" not in json.loads(plain.read_text())


def test_a_datasheet_of_ones_own_is_read_and_its_keys_are_checked(tmp_path: Path) -> None:
    text = Path(CONFIGS, "device", "h200.yaml").read_text(encoding="utf-8")
    (mine := tmp_path / "mine.yaml").write_text(text.replace("bytes_per_second: 4.8e12", "bytes_per_second: 2.4e12"))
    step = Step(0, 0, 1, 100)
    times = {device: one("llama-3.1-8b", device, "composed").step_time(step) for device in ("h200", str(mine))}
    assert 1.5 * times["h200"] < times[str(mine)] < 2 * times["h200"]
    mine.write_text(f"{text}bytes_per_secon: 3")
    with pytest.raises(ValueError, match=r"mine\.yaml: bytes_per_secon is no key of it, did you mean bytes_per_second"):
        one("llama-3.2-1b", str(mine))
    with pytest.raises(ValueError, match=r"no device at .*other\.yaml"):
        one("llama-3.2-1b", str(tmp_path / "other.yaml"))

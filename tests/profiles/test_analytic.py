"""Analytic profiles are made, and compared with others at those profiles' own points."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from profiles import analytic, analytic_error
from profiles.analytic_error import comparisons, datasheet, error_rows, launching, settings
from profiles.composed import composed
from profiles.operators.architecture import architecture
from profiles.operators.roofline import Device, Launching, Roofline
from profiles.point import as_row, decode_point, prefill_point
from profiles.profile import available, load, load_path
from profiles.release import release
from sim.step import Step, attended_tokens
from tests.conftest import ROOT

CONF = ROOT / "profiles/conf/analytic"
SMALL = (
    "grid.prefill.new=[1,16,128,512]",
    "grid.prefill.chunk=[16]",
    "grid.prefill.computed=[16,256]",
    "grid.decode.context=[16,128,512]",
    "grid.decode.batch=[1,2,4,8]",
)


def config_of(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize("path", sorted(CONF.glob("device/*.yaml")), ids=lambda path: path.stem)
def test_every_datasheet_is_a_device_of_its_name_with_its_sources(path):
    device = Device(**settings("device", path.stem))
    assert device.name == path.stem
    for line in path.read_text().splitlines():
        tagged = any(f"[{tag}" in line for tag in "AMRSD") or "nothing was fitted" in line
        own = line.split(":")[0].strip() in ("memory_bytes", "bytes_per_second", "link_efficiency", "link_seconds")
        assert tagged or not own, line


@pytest.mark.parametrize("path", sorted(CONF.glob("launching/*.yaml")), ids=lambda path: path.stem)
def test_every_way_to_launch_is_known(path):
    assert Launching(**settings("launching", path.stem)).host_seconds >= 0


def test_steps_that_do_both_are_compared_with_those_composed_whole(tmp_path, capsys):
    """Weights that both read are read once: by the curves' constant those of a dense model, not a mixture's experts."""
    wide = (
        "grid.prefill.new=[1,16,128,512,2048]",
        *SMALL[1:3],
        "grid.decode.context=[16,512,2048]",
        "grid.decode.batch=[1,8,32]",
    )
    off = {}
    for model in ("llama-3.1-8b", "qwen3-30b-a3b"):
        made = analytic.make(config_of(f"model={model}", "device=h200", *wide, f"output={tmp_path / model}.json"))
        off[model] = load_path(made).provenance["residuals"]["mixed"]["left_out"]
    assert off["llama-3.1-8b"]["points"] == off["qwen3-30b-a3b"]["points"] == 12
    assert off["llama-3.1-8b"]["p50"] < 0.05 < 0.1 < off["qwen3-30b-a3b"]["p50"]
    assert capsys.readouterr().out.count("cluster=one model=qwen3-30b-a3b composes each step whole") == 1
    whole = composed("qwen3-30b-a3b", "h200", "bfloat16", "graphs")
    both = Step(512, attended_tokens(512, 0), 32, 32 * 512)
    assert 0.1 < load_path(made).step_time(both) / whole.step_time(both) - 1 <= off["qwen3-30b-a3b"]["max"] + 1e-9


@pytest.mark.parametrize(
    ("overrides", "kv_bytes", "moved"),
    [
        (("model=gpt2", "device=l40s"), 2 * 12 * 768 * 2, 32e9),
        (("model=bart-base", "device=cpu", "dtype=float32", "launching=eager"), 2 * 6 * 768 * 4, 9.5e9),
        (("model=llama-3-8b", "device=h200", "tensor_parallelism=2"), 2 * 32 * 1024 * 2, 128e9),
    ],
)
def test_an_analytic_profile_is_made_of_any_model_on_any_device(tmp_path, overrides, kv_bytes, moved):
    config = config_of(*overrides, *SMALL, f"output={tmp_path / 'made.json'}")
    profile = load_path(analytic.make(config))
    assert profile.kind == "analytic"
    assert profile.kv_bytes_per_token == kv_bytes
    assert profile.move_bytes_per_second == moved
    times = Roofline(Device(**config.device), config.dtype, Launching(**config.launching))
    model, devices = architecture(config.model), config.tensor_parallelism
    for point, curve in ((prefill_point(1, 128), profile.prefill), (decode_point(4, 128), profile.decode)):
        exact = analytic.analytic_seconds(model, times, point, devices)
        assert curve.time(point.tokens, point.attended) == pytest.approx(exact, rel=0.1), "of a coarse grid"
    assert profile.provenance["datasheet"]["name"] == config.device.name
    assert profile.provenance["counts"]["generation_512"]["flops_per_element"] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("gemm_efficiency", "gemm_eficiency"), "gemm_eficiency is no key of it, did you mean gemm_efficiency?"),
        (("link_seconds: 10.0e-6", ""), "link_seconds is missing"),
        (("memory_bytes: 48305799168", "memory_bytes: 48GB"), "memory_bytes must be a number, got '48GB'"),
        (("name: l40s", ""), "name is missing"),
        (("bfloat16: 362.05e12", "bfloat16: many"), "flops_per_second.bfloat16 must be a number, got 'many'"),
    ],
)
def test_a_wrong_datasheet_is_said_in_a_line_with_its_file(tmp_path, changed, said):
    copied = shutil.copytree(ROOT / "profiles", tmp_path / "profiles", ignore=shutil.ignore_patterns("data"))
    text = (CONF / "device/l40s.yaml").read_text()
    assert changed[0] in text
    (copied / "conf/analytic/device/b100.yaml").write_text(text.replace(*changed))
    program = "import sys; sys.argv[1:] = ['device=b100']; from profiles.analytic import main; main()"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"tokenyard profile analytic: profiles/conf/analytic/device/b100.yaml: {said}\n"


def test_it_says_how_to_run_on_what_it_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    analytic.make(config_of("model=gpt2", "device=l40s", *SMALL))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "run on it: tokenyard cluster=one model=gpt2 cluster.devices.gpu.profile.folder=profile-output "
        "device=l40s_analytic"
    )
    assert load("gpt2", "l40s_analytic", "profile-output").kind == "analytic"
    elsewhere = analytic.command(config_of("model=gpt2", "output=made.json"))
    assert elsewhere == "a run finds a profile that is written to output=FOLDER/gpt2/NAME.json"
    shipped = analytic.command(config_of("model=gpt2", f"output={ROOT}/profiles/data/gpt2/b100.json"))
    assert shipped == "run on it: tokenyard cluster=one model=gpt2 device=b100"


def test_two_devices_hold_more_and_take_less_time(tmp_path):
    one, two = (
        load_path(analytic.make(config_of(*SMALL, f"tensor_parallelism={n}", f"output={tmp_path / f'{n}.json'}")))
        for n in (1, 2)
    )
    assert two.kv_capacity_tokens > 2 * one.kv_capacity_tokens
    assert one.decode.time(1, 128) / 2 < two.decode.time(1, 128) < one.decode.time(1, 128)


def test_a_model_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="weights of 352494542848 bytes leave no room for KV"):
        analytic.make(config_of("model=bloom-176b", *SMALL, f"output={tmp_path / 'made.json'}"))


def test_a_datasheet_is_found_by_the_beginning_of_a_devices_name():
    assert datasheet("a100_sxm_tp8").name == "a100_sxm"
    assert datasheet("cpu").name == "cpu"
    assert datasheet("h2000") is None


def slower(folder, kind="measured", factor=1.25, **facts):
    """A profile in `folder` whose samples take `factor` times what the roofline says of GPT-2 on an L40S."""
    engine = facts.get("engine", "vllm")
    launch = "graphs" if engine == "vllm" else "eager"
    times = Roofline(datasheet("l40s"), "bfloat16", Launching(**settings("launching", launch)))
    points = [prefill_point(b, n) for b in (1, 2, 4) for n in (16, 64, 256)]
    points += [decode_point(b, c) for b in (1, 4, 16) for c in (16, 128, 512)]
    seconds = [factor * analytic.analytic_seconds(architecture("gpt2"), times, point) for point in points]
    rows = [{**as_row(point), "pass": 0, "seconds": taken} for point, taken in zip(points, seconds, strict=True)]
    shipped = load("gpt2", "l40s")
    sizes = ("kv_bytes_per_token", "move_bytes_per_second", "kv_capacity_tokens", "max_model_len")
    release(
        folder / "gpt2" / "l40s.json",
        pd.DataFrame(rows),
        0,
        model="gpt2",
        device="l40s",
        facts={"kind": kind, **{name: getattr(shipped, name) for name in sizes}},
        provenance={**shipped.provenance, "weights": "random", "engine": engine},
    )


@pytest.mark.parametrize("engine", ["vllm", "hf"])
def test_errors_are_relative_to_the_samples_and_keep_their_sign(tmp_path, engine):
    slower(tmp_path, engine=engine)
    rows = error_rows(list(comparisons(tmp_path)))
    assert [(row["phase"], row["points"], row["engine"]) for row in rows] == [
        ("prefill", 9, engine),
        ("decode", 9, engine),
    ]
    for row in rows:
        assert row["p50"] == row["p90"] == row["max"] == pytest.approx(0.2)
        assert row["bias"] == pytest.approx(-0.2)


def test_derived_samples_and_analytic_profiles_are_not_judged(tmp_path):
    slower(tmp_path)
    path = tmp_path / "gpt2" / "l40s.samples.parquet"
    table = pd.read_parquet(path)
    table.assign(derived=table["batch"] == 4).to_parquet(path)
    assert sum(row["points"] for row in error_rows(list(comparisons(tmp_path)))) == int((table["batch"] != 4).sum())
    slower(tmp_path, kind="analytic")
    assert not list(comparisons(tmp_path))


def test_an_engine_that_is_not_known_is_eager_and_operator_times_are_graphs():
    shipped = {pair: launching(load(*pair)) for pair in available()}
    assert shipped["llama-2-70b", "a100_sxm_tp8"] == "eager"
    assert shipped["gpt2", "l40s"] == "graphs"


def test_the_command_prints_a_table_or_json_and_draws(tmp_path, capsys):
    slower(tmp_path)
    analytic_error.main(["--folder", str(tmp_path)])
    assert "bias %" in capsys.readouterr().out
    analytic_error.main(["--folder", str(tmp_path), "--json", "--picture", str(tmp_path / "made.png")])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["bias"] for row in rows] == pytest.approx([-0.2, -0.2])
    assert (tmp_path / "made.png").stat().st_size > 1000
    with pytest.raises(SystemExit):
        analytic_error.main(["--folder", str(tmp_path / "none")])


def test_shipped_profiles_of_operator_times_are_within_a_fifth_at_the_median():
    composed = [pair for pair in comparisons() if launching(pair[0]) == "graphs" and pair[0].kind == "imported"]
    assert len(composed) >= 6
    assert {row["device"]: row["p50"] for row in error_rows(composed) if row["p50"] > 0.20} == {}

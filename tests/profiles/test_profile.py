"""The profile: what a step costs, what a file must hold, and that every shipped one is sound."""

import json
import pickle

import pytest

from profiles import list as listing
from profiles.curve import Curve
from profiles.profile import DATA, PROVENANCE, DeviceProfile, available, kv_capacity, load, load_path, save, scaled
from sim.step import Step

RESIDUALS = {phase: {"left_out": {"points": 1, "p50": 0.1, "p90": 0.1, "max": 0.1}} for phase in ("prefill", "decode")}


def tiny(**changes):
    fields = {
        "model": "tiny",
        "device": "nothing",
        "kind": "measured",
        "prefill": Curve("tiny on nothing, prefill", (1, 100), (0.01, 0.10), (0.0, 1e-4), max_context=100),
        "decode": Curve("tiny on nothing, decode", (1, 10), (0.01, 0.02), (1e-5, 1e-4), max_context=100),
        "fixed_seconds": 0.008,
        "kv_bytes_per_token": 1000,
        "move_bytes_per_second": 1e6,
        "kv_capacity_tokens": 5000,
        "max_model_len": 100,
        "provenance": dict.fromkeys(PROVENANCE, "none") | {"residuals": RESIDUALS},
    }
    return DeviceProfile(**fields | changes)


PREFILL = Step(prefill_tokens=100, prefill_attended=5050)
DECODE = Step(decode_jobs=10, decode_context=500)
MIXED = Step(prefill_tokens=100, prefill_attended=5050, decode_jobs=10, decode_context=500)


def test_a_step_of_both_pays_the_fixed_cost_once():
    profile = tiny()
    prefill, decode = profile.step_time(PREFILL), profile.step_time(DECODE)
    assert prefill == pytest.approx(0.10 + 50.5e-4)
    assert decode == pytest.approx(0.02 + 50e-4)
    assert profile.step_time(MIXED) == pytest.approx(prefill + decode - 0.008)
    assert tiny(fixed_seconds=5.0).step_time(MIXED) == pytest.approx(prefill)
    assert profile.step_time(Step()) == 0


def test_moved_tokens_take_their_bytes_over_the_bandwidth():
    assert tiny().step_time(Step(moved_tokens=50)) == pytest.approx(0.05)


def test_a_decode_line_agrees_with_the_time_of_its_steps_and_ends_where_they_do():
    profile = tiny()
    line = profile.decode_line(4, 80)
    for context in (4, 80, 104, int(line.until)):
        assert line.since <= context <= line.until
        assert line.base + line.slope * context == profile.step_time(Step(decode_jobs=4, decode_context=context))
    for ask in (profile.decode_line, lambda jobs, context: profile.step_time(Step(0, 0, jobs, context))):
        with pytest.raises(ValueError, match=r"4 tokens with a mean context of 125\.25"):
            ask(4, int(line.until) + 1)


def test_a_profile_survives_its_file_and_a_pickle(tmp_path):
    profile = tiny()
    save(profile, tmp_path / "deep" / "tiny.json")
    assert load_path(tmp_path / "deep" / "tiny.json") == profile
    assert pickle.loads(pickle.dumps(profile)) == profile
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["tiny.json"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.update(schema_version=7), "schema_version is 7, this tokenyard reads 1"),
        (lambda d: d.pop("schema_version"), "schema_version is missing"),
        (lambda d: d.pop("decode"), "'decode' is missing"),
        (lambda d: d.pop("fixed_seconds"), "fixed_seconds"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.update(kind="guessed"), "'guessed'"),
        (lambda d: d["provenance"].pop("date"), "the provenance lacks date"),
        (lambda d: d["prefill"].update(slope=[2.0, 1.0]), "slope must not be negative and must not fall"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, edit, message):
    path = tmp_path / "tiny.json"
    save(tiny(), path)
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message) as caught:
        load_path(path)
    assert str(path) in str(caught.value)


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text('{"schema_version": 1,')
    with pytest.raises(ValueError, match=r"tiny.json: not valid json"):
        load_path(path)


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(ValueError, match=r"no profile of gpt2 on abacus in .* gpt2 on l40s"):
        load("gpt2", "abacus")


def test_capacity_is_what_the_weights_leave():
    assert kv_capacity(1000, 400, 50) == 10
    with pytest.raises(ValueError, match="no room for KV"):
        kv_capacity(1000, 900, 50)


@pytest.mark.parametrize(("model", "device"), available())
def test_shipped_profiles_are_sound(model, device):
    profile = load(model, device)
    assert (profile.model, profile.device) == (model, device)
    assert set(PROVENANCE) <= set(profile.provenance)
    if profile.kind == "imported":
        assert {"source", "host_seconds", "included", "assumptions"} <= set(profile.provenance)
    for phase in ("prefill", "decode"):
        errors = profile.provenance["residuals"][phase]["left_out"]
        if errors["points"]:
            assert 0 <= errors["p50"] <= errors["p90"] <= errors["max"]
            assert errors["p50"] <= (0.10 if errors["points"] >= 5 else 0.15), "of one or two points, no median"
    assert (DATA / model / f"{device}.png").is_file()
    times = [profile.step_time(Step(decode_jobs=jobs, decode_context=64 * jobs)) for jobs in (1, 2, 4, 8, 16)]
    assert times[0] > 0
    assert times == sorted(times)
    longest = min(2 * profile.prefill.max_context, profile.prefill.knots[-1])
    lengths = [tokens for tokens in (1, 16, 100, 512, 1000) if tokens <= longest]
    times = [profile.prefill.time(tokens, tokens * (tokens + 1) / 2) for tokens in lengths]
    assert times[0] > 0
    assert times == sorted(times)
    if profile.provenance["model_config"].get("is_encoder_decoder"):
        return  # no engine here prefills and decodes in one step of it
    mixed = Step(prefill_tokens=64, prefill_attended=64 * 65 // 2, decode_jobs=4, decode_context=256)
    assert profile.step_time(mixed) < profile.prefill.time(64, 64 * 65 // 2) + profile.decode.time(4, 256)


def test_no_shipped_profile_tells_of_the_machine_it_was_made_on():
    for path in DATA.glob("*/*.json"):
        text = path.read_text()
        assert not [folder for folder in ("home", "work", "tmp", "usr") if f"/{folder}/" in text], path
        assert "output=" not in text, path


def test_the_list_has_a_line_for_each(capsys):
    listing.main([])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(available()) + 2
    assert any(line.startswith("gpt2 ") and "l40s" in line and "imported" in line for line in lines)


def test_a_scaled_profile_takes_so_many_times_as_long_and_says_so():
    base = load("gpt2", "l40s")
    derived = scaled("gpt2", "l40s", factor=8.0, name="slow")
    step = Step(prefill_tokens=100, prefill_attended=5050, decode_jobs=4, decode_context=800)
    assert derived.step_time(step) == pytest.approx(8 * base.step_time(step))
    assert (derived.kind, derived.device) == ("derived", "slow")
    with pytest.raises(ValueError, match="factor must be positive, got 0"):
        scaled("gpt2", "l40s", factor=0, name="slow")

"""A campaign for real, on models of two layers: what it measures first, where it stops, and how it goes on."""

import itertools
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from hydra import compose, initialize_config_module

from profiles import campaign, campaign_settings, machine
from profiles.measure import Measurement
from profiles.measuring import models
from profiles.profile import load_path
from tests.profiles.test_measure import SIZES, TINY_GRID

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SETTINGS = [setting.replace("grid.", "grids.cpu.") for setting in TINY_GRID]
FILES = ["cpu_eager.json", "cpu_eager.png", "cpu_eager.samples.parquet"]


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    """`ant`, `bee` and `cow` are GPT-2 with two layers and random weights."""
    for name in ("ant", "bee", "cow"):
        monkeypatch.setitem(models.SOURCES, name, models.Source(config_class="GPT2Config", config=tuple(SIZES.items())))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_pictures(monkeypatch):
    """Profiles are written without the picture, which takes a second."""
    monkeypatch.setattr("profiles.release.plot", lambda profile, table, path: None)


@pytest.fixture
def built(monkeypatch):
    """The names of the models that were built, in order."""
    names, load = [], models.load

    def watched(name, *arguments):
        names.append(name)
        return load(name, *arguments)

    monkeypatch.setattr(models, "load", watched)
    return names


def overrides(output, *given):
    return [*SETTINGS, "device=cpu", "models=[bee,ant]", f"output={output}", *given]


def config(output, *given):
    with initialize_config_module("profiles.conf", version_base="1.3"):
        return compose("campaign", overrides(output, *given))


def stopped():
    """A clock at which no time passes."""
    return 0.0


def ticking():
    """A clock that goes on by a second whenever it is read."""
    ticks = itertools.count()
    return lambda: float(next(ticks))


def states(done):
    return {model: outcome.state for model, outcome in done.outcomes.items()}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_profiles_are_written_in_order_with_their_provenance_and_never_again(tmp_path, built, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["campaign", "device=cpu", "minutes=3", f"output={tmp_path}"])
    done = campaign.run(config(tmp_path), stopped)
    assert built == ["bee", "ant"]
    assert states(done) == {"bee": "finished", "ant": "finished"}
    for model in built:
        assert sorted(path.name for path in (tmp_path / model).iterdir()) == FILES
        profile = load_path(tmp_path / model / FILES[0])
        assert (profile.model, profile.device, profile.kind) == (model, "cpu_eager", "measured")
        facts = profile.provenance
        assert facts["command"] == "tokenyard profile campaign device=cpu minutes=3"
        assert (facts["engine"], facts["dtype"], facts["threads"]) == ("hf", "float32", 1)
        assert facts["device_name"] == machine.cpu_name()
        assert facts["grid"]["prefill"]["new"] == [4, 8, 16]
    written = contents(tmp_path)
    said = capsys.readouterr().out
    assert (
        "calibration.batch_size=1 model=bee '~cluster.devices.cpu' cluster.devices.gpu.profile.device=cpu_eager" in said
    )
    again = campaign.run(config(tmp_path), stopped)
    assert states(again) == states(done)
    assert [outcome.seconds for outcome in again.outcomes.values()] == [None, None]
    assert contents(tmp_path) == written
    assert len(built) == 2


def test_at_the_deadline_it_stops_between_points_and_the_same_command_goes_on(tmp_path, no_pictures, capsys):
    done = campaign.run(config(tmp_path, "minutes=1"), ticking())
    assert states(done) == {"bee": "unfinished", "ant": "unfinished"}
    assert 0 < done.outcomes["bee"].share < 1
    journal = tmp_path / "bee" / "cpu_eager.partial.jsonl"
    kept = [json.loads(line) for line in journal.read_text().splitlines()]
    seconds = [event["seconds"] for event in kept if "seconds" in event]
    assert 5 < len(seconds) < 60
    assert list(contents(tmp_path)) == [journal.relative_to(tmp_path)]
    said = capsys.readouterr().out
    assert "left, and about how much timing: bee (" in said
    assert "the same command goes on" in said
    assert states(campaign.run(config(tmp_path), stopped)) == {"bee": "finished", "ant": "finished"}
    samples = pd.read_parquet(tmp_path / "bee" / FILES[2])["raw_seconds"].tolist()
    assert samples[: len(seconds)] == seconds
    assert len(samples) > len(seconds)
    assert not journal.exists()


def test_a_kill_in_the_middle_of_a_model_loses_nothing(tmp_path, no_pictures, monkeypatch):
    from profiles.measuring.forward import Forward

    original, calls = Forward.__call__, []

    def killed(self, point):
        calls.append(point)
        if len(calls) == 40:
            raise KeyboardInterrupt
        return original(self, point)

    monkeypatch.setattr(Forward, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        campaign.run(config(tmp_path, "models=[ant]"), stopped)
    journal = (tmp_path / "ant" / "cpu_eager.partial.jsonl").read_text()
    first = len(calls)
    campaign.run(config(tmp_path, "models=[ant]"), stopped)
    timed = [json.loads(line)["seconds"] for line in journal.splitlines() if '"seconds"' in line]
    assert timed
    assert pd.read_parquet(tmp_path / "ant" / FILES[2])["raw_seconds"].tolist()[: len(timed)] == timed
    fresh = len(calls) - first
    calls.clear()
    calls.extend([None] * 40)
    campaign.run(config(tmp_path / "whole", "models=[ant]"), stopped)
    assert fresh < len(calls) - 40


def test_a_model_that_cannot_be_finished_gives_way_and_gets_what_is_left(
    tmp_path, no_pictures, built, monkeypatch, capsys
):
    monkeypatch.setattr(Measurement, "pass_seconds", lambda self, before: 1e6 if self.config.model == "bee" else 1.0)
    done = campaign.run(config(tmp_path), stopped)
    assert built == ["bee", "ant", "bee"]
    assert states(done) == {"bee": "finished", "ant": "finished"}
    assert "bee gives way to the others" in capsys.readouterr().out
    assert states(campaign.run(config(tmp_path, "models=[bee,ant,cow]"), ticking())) == {
        "bee": "finished",
        "ant": "finished",
        "cow": "finished",
    }
    assert built[3:] == ["cow"]


def test_a_model_that_fails_does_not_end_the_campaign_and_is_named(tmp_path, no_pictures, monkeypatch, capsys):
    load = models.load

    def failing(name, *arguments):
        if name == "bee":
            raise RuntimeError("no such kernel\nsecond line")
        return load(name, *arguments)

    monkeypatch.setattr(models, "load", failing)
    monkeypatch.setattr("sys.argv", ["campaign", *overrides(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        campaign.main()
    assert ended.value.code == 1
    report = tmp_path / "bee" / "cpu_eager.error.txt"
    assert f"failed: bee: RuntimeError: no such kernel (more in {report})" in capsys.readouterr().out
    assert "in failing" in report.read_text()
    assert (tmp_path / "ant" / FILES[0]).exists()
    monkeypatch.setattr(models, "load", load)
    assert states(campaign.run(config(tmp_path), stopped)) == {"bee": "finished", "ant": "finished"}
    assert not report.exists()


@pytest.mark.parametrize(
    ("memory", "said"), [(50_000, "leave no room"), (200_000, "its largest point has")], ids=["weights", "kv"]
)
def test_a_model_that_does_not_fit_in_the_memory_is_skipped_in_one_line(tmp_path, monkeypatch, capsys, memory, said):
    facts = machine.device_facts
    monkeypatch.setattr(machine, "device_facts", lambda device: {**facts(device), "memory_bytes": memory})
    done = campaign.run(config(tmp_path, "models=[ant]"), stopped)
    assert states(done) == {"ant": "skipped"}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped: ant: it does not fit")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("minutes=0", "minutes must be a positive number, got 0"),
        ("minutes=-1", "minutes must be a positive number, got -1"),
        ("minutes=nan", "minutes must be a positive number, got nan"),
        ("minutes=soon", "minutes must be a positive number, got 'soon'"),
        ("models=[gtp2]", "unknown model 'gtp2'; known: .*; did you mean 'gpt2'"),
        ("models=[7]", "unknown model '7'"),
        ("models=gpt2", "models must be a list of different models"),
        ("models=[]", "models must be a list of different models"),
        ("models=[gpt2,gpt2]", "models must be a list of different models"),
        ("device=cuda:99", "device 'cuda:99': torch finds .* CUDA devices here"),
        ("device=foo", "device must be one of torch's, cpu or cuda say, got 'foo'"),
        ("device=meta", "device must be cuda, cuda:N or cpu, got 'meta'"),
        ("device=cpu:0", "device must be cuda, cuda:N or cpu, got 'cpu:0'"),
        ("dtype=float12", "dtype must be one of torch's, .* got 'float12'"),
        ("name=../up", "name must be of letters, .* got '../up'"),
        ("threads=-1", "threads must be a number from 0 on, got -1"),
        ("seed=-1", "seed must be a number from 0 on, got -1"),
        ("cores=x", "cores must be a list of CPUs, .* got 'x'"),
        ("output=/dev/null/out", "output must be a folder that can be written, got '/dev/null/out'"),
        ("restart=maybe", "restart must be true or false, got 'maybe'"),
        ("grids.cpu.passes=0", "grid.passes must be positive, got 0"),
    ],
)
def test_a_setting_that_cannot_be_measured_is_refused_before_anything_is_built(tmp_path, built, given, said):
    with pytest.raises(ValueError, match=said):
        campaign.run(config(tmp_path, given), stopped)
    assert built == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_finished_and_was_measured_otherwise_or_is_damaged_is_refused(tmp_path, no_pictures):
    campaign.run(config(tmp_path, "models=[ant]"), stopped)
    with pytest.raises(ValueError, match=r"was measured otherwise \(dtype: 'float32' there, 'bfloat16' now\)"):
        campaign.run(config(tmp_path, "dtype=bfloat16"), stopped)
    (tmp_path / "ant" / FILES[0]).write_text("{")
    with pytest.raises(ValueError, match="not valid json"):
        campaign.run(config(tmp_path), stopped)


def test_a_name_by_which_an_analytic_profile_ships_is_refused(tmp_path):
    with pytest.raises(ValueError, match="name 'l40s_eager': the analytic profile of t5-small is called so"):
        campaign.run(config(tmp_path, "models=[t5-small]", "name=l40s_eager"), stopped)


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "h100_sxm_eager"),
        ("NVIDIA H200", "h200_eager"),
        ("NVIDIA GeForce RTX 4090", "geforce_rtx_4090_eager"),
        ("AMD Instinct MI300X", "amd_instinct_mi300x_eager"),
    ],
)
def test_a_device_is_named_as_its_datasheet_or_in_short(monkeypatch, reported, name):
    properties = SimpleNamespace(name=reported, total_memory=1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert campaign_settings.device_name("cuda") == name


def test_the_most_wanted_models_come_first():
    with initialize_config_module("profiles.conf", version_base="1.3"):
        chosen = compose("campaign", ["device=cpu"])
    rtlm = ["dialogpt-small", "godel-base", "blenderbot-400m", "bart-base", "t5-small"]
    assert chosen.models[:5] == rtlm
    settings = campaign_settings.model_settings(chosen)
    assert list(settings) == [*rtlm, "gpt2", "opt-125m", "opt-1.3b", "opt-6.7b", "llama-3-8b", "qwen2.5-7b"]
    assert {own.grid.repeats for own in settings.values()} == {1}
    assert (chosen.grids.cuda.warmups, chosen.grids.cuda.repeats) == (1, 3)


@pytest.mark.parametrize(
    ("name", "layers", "parameters"),
    [
        ("t5-small", 12, 60_506_624),
        ("bart-base", 12, 139_420_416),
        ("blenderbot-400m", 14, 364_802_560),
        ("opt-1.3b", 24, 1_315_758_080),
        ("opt-6.7b", 32, 6_658_473_984),
        ("llama-3-8b", 32, 8_030_261_248),
        ("qwen2.5-7b", 28, 7_615_616_512),
    ],
)
def test_a_model_has_the_layers_and_parameters_that_were_published(name, layers, parameters):
    assert campaign.sizes_of(name) == (layers, parameters)


def test_what_is_left_is_told_from_the_layers_and_parameters_of_those_that_were_built():
    costs = {campaign.sizes_of(name): 2.0 * campaign.sizes_of(name)[0] for name in ("gpt2", "opt-1.3b")}
    outcomes = {"llama-3-8b": campaign.Outcome("unfinished"), "opt-1.3b": campaign.Outcome("unfinished", share=0.5)}
    begun = campaign.Campaign({}, 0.0, stopped, outcomes, costs)
    assert begun.about("llama-3-8b") == pytest.approx(64)
    assert begun.about("opt-1.3b") == pytest.approx(24)
    assert campaign.Campaign({}, 0.0, stopped, outcomes).about("llama-3-8b") is None

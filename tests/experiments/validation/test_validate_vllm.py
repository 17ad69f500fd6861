"""vLLM serves a trace, in process and over HTTP, as long as answers are stated and in the order of the policy."""

import json
import os
import sys
from functools import partial

import pytest
from hydra import compose, initialize_config_dir

from experiments.validation import session
from experiments.validation.engines import Unavailable
from experiments.validation.replay import Case, Known, run_simulated
from policies.batching.continuous import Continuous
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from sim import Device, Order, Prediction
from tests.conftest import ROOT, LinearProfile, make_device, make_policy, make_requests

PROMPTS, OUTPUTS = [5, 9, 3, 7, 4, 8], [12, 9, 2, 6, 1, 3]


class Moving(Order):
    def rank(self, job, now):
        return now


def needs_vllm():
    pytest.importorskip("vllm", reason="vLLM is not installed here: `make vllm`", exc_type=Exception)


@pytest.fixture(scope="module")
def tiny():
    """`model=tiny` is Llama with one layer."""
    needs_vllm()
    from profiles.measuring import models

    sizes = {
        "vocab_size": 512, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.SOURCES, "tiny", models.Source("LlamaConfig", tuple(sizes.items())))
        yield "tiny"


@pytest.fixture(scope="module", params=["vllm", "ahead", "vllm_server"])
def engine(request, tiny):
    from experiments.validation.engines import vllm, vllm_server

    in_process = partial(vllm.VLLM, asynchronous=request.param == "ahead")
    kind = vllm_server.VLLMServer if request.param == "vllm_server" else in_process
    before = dict(os.environ)
    started = kind(tiny, 0, 1, max_num_seqs=1, max_num_batched_tokens=64, max_model_len=128)
    yield started
    started.close()
    os.environ.clear()
    os.environ.update(before)


def make_case(order, ahead=False):
    requests = make_requests([0.0] * 6, PROMPTS, OUTPUTS, max_tokens=12)
    known = Known({request.id: Prediction(float(request.truth.output_tokens), 0.0) for request in requests})
    batching = Continuous(max_num_seqs=1, max_num_batched_tokens=64, plans_ahead=int(ahead))
    return Case(1.0, 0, "fifo", tuple(requests), make_policy(order=order, batching=batching), known, {}, "")


def test_one_at_a_time_they_end_as_the_order_has_it(engine):
    device = Device("engine", "gpu", LinearProfile(), **engine.limits)
    assert device.max_model_len == 128
    assert device.block_size == 32
    case = make_case(SJF(ServiceTime(phi=0.0, eta=0.01)), engine.facts["async_scheduling"])
    real = engine.serve(case.jobs(), case.parts, device, lambda: None, lambda seconds: None)
    simulated = run_simulated(case, device)
    if real["first_scheduled"].notna().all():
        ended, expected = (table.sort_values("finished")["id"].tolist() for table in (real, simulated))
        assert ended == expected
    else:  # over HTTP they do not come all at once, so the priority that is sent has to do
        assert json.loads(engine._body(case.jobs()[0], 3))["priority"] == 3
    assert real["output_tokens"].tolist() == OUTPUTS
    assert (real["first_token"] <= real["finished"]).all()
    assert engine.facts["threads"] == 1
    assert engine.facts["cores"] == sorted(os.sched_getaffinity(0))


def test_the_anchor_is_a_prefill_and_a_decode_step_where_steps_can_be_seen(engine):
    seconds = engine.anchor(1, 34)
    if "eager" in engine.facts:
        prefill, decode = seconds
        assert prefill > 0
        assert decode > 0
    else:
        assert seconds is None


def test_an_order_that_ranks_anew_is_refused(engine):
    case = make_case(Moving())
    with pytest.raises(ValueError, match="Moving ranks those who wait anew"):
        engine.serve(case.jobs(), case.parts, make_device(), lambda: None, lambda seconds: None)


def test_without_vllm_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base="1.3"):
        cfg = compose("validate", ["engine=vllm", "model=opt-125m"])
    before = dict(os.environ)
    try:
        with pytest.raises((Unavailable, ModuleNotFoundError), match="make vllm"):
            session.open_engine(cfg)
    finally:
        os.environ.clear()
        os.environ.update(before)

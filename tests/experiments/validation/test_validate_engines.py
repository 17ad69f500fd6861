"""The transformers engine serves in the simulator's batches and order; what a priority queue is told is a policy's."""

import pytest

from experiments.validation.engines import COLUMNS, priorities
from experiments.validation.replay import Case, Known, run_simulated, token_instants
from policies.batching.consolidation import Consolidation
from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.order.aging import Aging
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.up import UP
from sim import Cluster, Order, Prediction, Record, Unservable, simulate
from sim.job import Job
from tests.conftest import make_device, make_policy, make_requests

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from experiments.validation.engines.hf import HF  # noqa: E402 - it needs torch

SERVICE = ServiceTime(phi=0.001, eta=0.01)
PROMPTS, OUTPUTS = [5, 9, 3, 7, 4, 8, 6], [4, 9, 2, 6, 1, 3, 5]


@pytest.fixture(scope="module")
def gpt2():
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=50, n_positions=64)
    return HF(transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval())


@pytest.fixture(scope="module")
def t5():
    config = transformers.T5Config(d_model=32, d_ff=64, d_kv=8, num_layers=2, num_heads=4, vocab_size=50)
    return HF(transformers.AutoModelForSeq2SeqLM.from_config(config, attn_implementation="sdpa").eval())


def make_case(policy, arrivals=None, outputs=OUTPUTS):
    arrivals = [0.0] * len(outputs) if arrivals is None else arrivals
    requests = make_requests(arrivals, PROMPTS[: len(outputs)], outputs, max_tokens=9)
    known = Known(
        {
            request.id: Prediction(float(output), float(output))
            for request, output in zip(requests, outputs, strict=True)
        }
    )
    return Case(1.0, 0, "fifo", tuple(requests), policy, known, {}, "")


def serve(engine, case, device=None):
    device = device or make_device(max_model_len=64)
    return engine.serve(case.jobs(), case.parts, device, lambda: None, lambda seconds: None)


def batches(table):
    """The ids that began together, batch after batch."""
    return [sorted(group["id"]) for _, group in table.groupby("first_scheduled")]


@pytest.mark.parametrize(
    ("order", "batching"),
    [
        (FIFO(), Static(3)),
        (SJF(SERVICE), Static(3)),
        (UP(SERVICE, alpha=-16.0), Static(2)),
        (UP(SERVICE, alpha=4.0), Consolidation(batch_size=3, lookahead=1.8, ratio=3.0, max_wait=0.0)),
        (Aging(1.0), Static(4)),
    ],
)
def test_batches_and_their_order_are_the_simulators(gpt2, order, batching):
    case = make_case(make_policy(order=order, batching=batching))
    real, simulated = serve(gpt2, case), run_simulated(case, make_device(max_model_len=64))
    assert list(real.columns) == list(simulated.columns) == list(COLUMNS)
    assert batches(real) == batches(simulated)
    assert real["last_token"].rank(method="min").tolist() == simulated["last_token"].rank(method="min").tolist()
    for table in (real, simulated):
        assert (table["first_scheduled"] < table["first_token"]).all()
        assert (table["first_token"] <= table["last_token"]).all()
        assert (table["last_token"] <= table["finished"]).all()
        assert table.groupby("first_scheduled")["finished"].nunique().max() == 1
        assert table["output_tokens"].tolist() == OUTPUTS


def test_a_batch_is_padded_to_its_widest_prompt_and_runs_until_its_longest_answer(gpt2, monkeypatch):
    seen = []
    begin, step = gpt2.passes.begin, gpt2.passes.step

    def watched_begin(tokens, mask):
        seen.append((tuple(tokens.shape), None if mask is None else mask.sum(1).tolist()))
        return begin(tokens, mask)

    def watched_step(state, tokens):
        seen.append(tuple(tokens.shape))
        return step(state, tokens)

    monkeypatch.setattr(gpt2.passes, "begin", watched_begin)
    monkeypatch.setattr(gpt2.passes, "step", watched_step)
    serve(gpt2, make_case(make_policy(batching=Static(4)), outputs=OUTPUTS[:5]))
    assert seen == [((4, 9), [5, 9, 3, 7]), *[(4, 1)] * 8, ((1, 4), None)]


def test_requests_are_served_when_they_arrive_and_a_batch_waits_as_long_as_it_may(gpt2):
    case = make_case(make_policy(batching=Static(2, max_wait=0.05)), arrivals=[0.0, 0.0, 0.1], outputs=[1, 1, 2])
    table = serve(gpt2, case)
    assert batches(table) == [[0, 1], [2]]
    assert table["first_scheduled"].iloc[2] >= 0.15


def test_an_encoder_decoder_serves_too(t5):
    case = make_case(make_policy(batching=Static(3)))
    assert batches(serve(t5, case)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_what_the_engine_cannot_serve_is_refused_at_once(gpt2):
    with pytest.raises(ValueError, match="Continuous does not"):
        serve(gpt2, make_case(make_policy(batching=Continuous())))
    with pytest.raises(Unservable, match="max_model_len=10"):
        serve(gpt2, make_case(make_policy(batching=Static(2))), make_device(max_model_len=10))


def test_the_simulator_is_asked_when_each_token_of_a_static_batch_was_there():
    case = make_case(make_policy(batching=Static(3)))
    tables = simulate(
        case.requests, case.parts, Cluster((make_device(),)), case.known, record=Record.DECISIONS, leap=False
    )
    instants = token_instants(tables)
    assert [len(instants[number]) for number in range(7)] == [9, 9, 9, 6, 6, 6, 5]
    table = run_simulated(case, make_device())
    assert instants[2][1] == table["last_token"][2] < table["finished"][2] == instants[1][8]


class Moving(Order):
    def rank(self, job, now):
        return now


def test_priorities_are_the_places_of_ranks_that_hold():
    jobs = [
        Job(request, Prediction(float(output), 0.0))
        for request, output in zip(make_requests(range(4), [1] * 4, [5, 2, 5, 9]), [5, 2, 5, 9], strict=True)
    ]
    assert priorities(jobs, FIFO()) == [0, 1, 2, 3]
    assert priorities(jobs, SJF(SERVICE)) == [1, 0, 1, 2]
    with pytest.raises(ValueError, match="Moving ranks those who wait anew"):
        priorities(jobs, Moving())

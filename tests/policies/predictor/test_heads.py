"""Predictors on sentence embeddings: what each learns from texts whose embeddings are made up, so without a model."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from policies.predictor import text_inputs
from policies.predictor.alise import fit_alise
from policies.predictor.encoder import window
from policies.predictor.heads import Training
from policies.predictor.length_classes import length_classes
from policies.predictor.ltr import calibrate, fit_ltr, list_mle
from policies.predictor.ssjf_classifier import fit_ssjf_classifier
from policies.predictor.ssjf_ordinal import fit_ssjf_ordinal
from sim import Request, Truth

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

TRAINING = Training(hidden=[16], learning_rate=1e-2, weight_decay=0.01, epochs=10, batch=32, seed=0)
FITS = {
    "ssjf_classifier": lambda *rows: fit_ssjf_classifier(*rows, training=TRAINING, seconds=0.01),
    "ssjf_ordinal": lambda *rows: fit_ssjf_ordinal(*rows, training=TRAINING, seconds=0.01),
    "ltr": lambda *rows: fit_ltr(*rows, training=TRAINING, bucket=10, seconds=0.01),
    "alise": lambda *rows: fit_alise(*rows, nearest=5, threshold=0.9999, training=TRAINING, seconds=0.01),
}
TASKS = {"name": 10, "list": 60, "essay": 400, "story": 900}  # median tokens of an answer


class WordSums:
    """An encoder to whom a text is the sum of a random vector for each of its words."""

    def sentences(self, texts):
        def vector(text):
            words = [np.random.default_rng(zlib.crc32(word.encode())).normal(size=24) for word in text.split()]
            return np.sum(words, axis=0)

        rows = np.array([vector(text) for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def made_up_embeddings(monkeypatch):
    monkeypatch.setattr(text_inputs, "encoder", WordSums)


def request(number: int, text: str) -> Request:
    return Request(number, 0.0, len(text.split()), Truth(1), prompt_text=text)


def made(count: int, start: int = 0):
    """Requests for one of `TASKS` on some subject, and three answers to each."""
    rng = np.random.default_rng(count)
    tasks = [list(TASKS)[number % 4] for number in range(count)]
    requests = [request(start + at, f"{task} about subject{start + at}") for at, task in enumerate(tasks)]
    return requests, [[max(1, round(TASKS[task] * rng.lognormal(0, 0.2))) for _ in range(3)] for task in tasks]


@pytest.mark.parametrize("name", FITS)
def test_unseen_prompts_are_put_in_the_order_of_their_tasks(name):
    predictor = FITS[name](*made(200))
    said = [predictor.predict(each) for each in made(80, start=1000)[0]]
    lengths = np.array([each.length for each in said]).reshape(-1, 4)  # a column a task
    medians = np.median(lengths, axis=0)
    assert (np.diff(medians) > 0).all()
    assert medians[0] < 60
    assert medians[3] > 400
    for each in said:
        assert each.uncertainty == each.length
        assert each.seconds == 0.01
        assert each.distribution.quantile(0.01) < each.length < each.distribution.quantile(0.99)
        assert each.distribution.mean == pytest.approx(each.length, rel=0.5)


@pytest.mark.parametrize("name", FITS)
def test_equal_seeds_give_equal_predictions_and_leave_torch_as_it_was(name):
    before = torch.get_rng_state()
    first, second = (FITS[name](*made(40)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for each in made(8, start=1000)[0]:
        assert first.predict(each) == second.predict(each)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize(
    ("requests", "answers", "said"),
    [
        (*made(19), "needs 20 training requests or more, got 19"),
        ([Request(7, 0.0, 3, Truth(1))] * 20, [[5]] * 20, "request 7"),
        (made(20)[0], [[5]] * 19, "got 19 beside 20"),
    ],
)
def test_a_training_set_that_cannot_be_used_is_refused(name, requests, answers, said):
    with pytest.raises(ValueError, match=said):
        FITS[name](requests, answers)


@pytest.mark.parametrize("name", FITS)
def test_answers_of_one_length_are_foretold_so(name):
    requests, _ = made(24)
    said = FITS[name](requests, [[50]] * 24).predict(request(99, "list about anything"))
    assert said.length == pytest.approx(50)
    assert said.distribution.mean == pytest.approx(50, rel=0.01)


def test_a_network_answers_in_numpy_what_it_was_trained_to_in_torch():
    rng = np.random.default_rng(0)
    inputs = rng.normal(3.0, 2.0, (200, 4))
    seen = {}

    def loss(outputs, rows):
        seen.update(zip(rows.tolist(), outputs.detach().numpy(), strict=True))
        return outputs.sum() * 0.0

    still = Training(hidden=[8, 8], learning_rate=1e-3, weight_decay=0.0, epochs=1, batch=64, seed=3)
    network = still.network(inputs, 5, loss)
    assert sorted(seen) == list(range(200))
    assert network(inputs) == pytest.approx(np.array([seen[row] for row in range(200)]), abs=1e-5)
    assert network(inputs[7]) == pytest.approx(network(inputs)[7])


def test_list_mle_is_the_likelihood_of_the_order_and_least_for_the_right_one():
    scores = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    first = math.log(math.exp(2) + math.exp(1) + 1) - 2
    second = math.log(math.exp(1) + 1) - 1
    assert float(list_mle(scores)) == pytest.approx(first + second)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    losses = [float(list_mle(scores[order])) for order in orders]
    assert losses.index(min(losses)) == 0
    assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1)


def test_a_calibrated_length_falls_as_the_score_rises():
    curve = calibrate(np.array([4.0, 1.0, 2.0, 3.0]), np.array([1.0, 5.0, 2.0, 3.0]))
    assert curve(np.array([0.0, 1.0, 2.5, 4.0, 9.0])) == pytest.approx([5.0, 5.0, 2.5, 1.0, 1.0])
    assert curve(np.array([2.2])) > curve(np.array([2.8]))  # on one plateau of the isotonic regression


def test_the_classes_are_cut_at_percentiles():
    classes = length_classes([[length] for length in range(1, 101)])
    assert classes.edges == (1, 25, 50, 75, 99, 100)
    assert classes.means == (13, 38, 63, 87.5, 100)
    assert [classes.of(length) for length in (0, 25, 26, 50, 75, 76, 99, 100, 5000)] == [0, 0, 1, 1, 2, 3, 3, 4, 4]


def test_percentiles_that_coincide_make_fewer_classes():
    classes = length_classes([[7] * 9, [20]])
    assert classes.edges == (7, 7, 20)
    assert classes.means == (7, 20)


def test_class_weights_do_not_bias_the_expected_length():
    requests, answers = made(200)
    predictor = FITS["ssjf_classifier"](requests, answers)
    mean = np.mean([predictor.predict(each).length for each in requests])
    assert mean == pytest.approx(np.mean(answers), rel=0.1)


def test_a_prompt_seen_before_gets_its_own_mean_length():
    requests, answers = made(40)
    predictor = FITS["alise"](requests, answers)
    said = predictor.predict(request(99, requests[3].prompt_text))
    assert said.length == pytest.approx(np.mean(answers[3]))


def test_similar_prompts_are_weighted_by_their_similarity_and_others_left_out():
    requests, answers = made(40)
    predictor = fit_alise(requests, answers, nearest=2, threshold=0.5, training=TRAINING, seconds=0.0)
    prompt = text_inputs.sentences_of([request(99, "essay about subject2")])[0]
    similarity = WordSums().sentences([each.prompt_text for each in requests]) @ prompt
    first, second = np.argsort(-similarity)[:2]
    assert first == 2
    assert similarity[second] > 0.5
    expected = np.average([np.mean(answers[first]), np.mean(answers[second])], weights=similarity[[first, second]])
    assert predictor.retrieve(prompt) == pytest.approx(expected)
    assert predictor.retrieve(-prompt) is None


@pytest.mark.parametrize(("nearest", "threshold"), [(0, 0.9), (5, 0.0), (5, 1.1)])
def test_a_retrieval_that_cannot_be_is_refused(nearest, threshold):
    with pytest.raises(ValueError, match=f"got {nearest} and {threshold}"):
        fit_alise(*made(20), nearest=nearest, threshold=threshold, training=TRAINING, seconds=0.0)


def test_of_a_long_text_the_encoder_is_shown_the_beginning_and_the_end():
    assert window([*range(256)]) == [*range(256)]
    assert window([*range(257)]) == [*range(128), *range(129, 257)]

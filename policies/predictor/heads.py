"""Small networks on a prompt's sentence embedding: trained with torch, and asked with numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.residuals import Rows
from policies.predictor.text_inputs import sentences_of
from sim.request import Request

Matrix = NDArray[np.float64]
FEWEST = 20  # training requests: fewer say nothing about hundreds of weights


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """Layers of weights (inputs x outputs) and biases with a ReLU between them, after `centre` and `scale`."""

    centre: Matrix
    scale: Matrix
    layers: tuple[tuple[Matrix, Matrix], ...]

    def __call__(self, inputs: Matrix) -> Matrix:
        """The outputs for `inputs`, one row or a row each."""
        values = (inputs - self.centre) / self.scale
        *hidden, (last, bias) = self.layers
        for weights, biases in hidden:
            values = np.maximum(values @ weights + biases, 0.0)
        return np.asarray(values @ last + bias)


def centre_and_scale(inputs: Matrix) -> tuple[Matrix, Matrix]:
    """Each column's mean and standard deviation, 1 for a column that never varies."""
    scale = inputs.std(axis=0)
    scale[scale == 0] = 1.0
    return inputs.mean(axis=0), scale


@dataclass(frozen=True, slots=True)
class Training:
    """How a network with layers of `hidden` ReLUs is trained: AdamW, `epochs` times over random batches of rows.

    Equal seeds give equal networks. Needs torch.
    """

    hidden: Sequence[int]
    learning_rate: float
    weight_decay: float
    epochs: int
    batch: int
    seed: int

    def network(self, inputs: Matrix, outputs: int, loss: Callable[[Any, Rows], Any]) -> Perceptron:
        """The network of least `loss(its outputs for some rows, a torch tensor; those rows in random order)`."""
        import torch

        torch.set_num_threads(1)  # small layers: more threads are slower, and sums would depend on their number
        centre, scale = centre_and_scale(inputs)
        standard = torch.from_numpy(((inputs - centre) / scale).astype(np.float32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layers = [torch.nn.Linear(*widths) for widths in pairwise((inputs.shape[1], *self.hidden, outputs))]
        relus = [module for layer in layers[:-1] for module in (layer, torch.nn.ReLU())]
        network = torch.nn.Sequential(*relus, layers[-1])
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, foreach=True
        )
        rng = np.random.default_rng(self.seed)
        for _ in range(self.epochs):
            order = rng.permutation(len(inputs))
            for rows in (order[start : start + self.batch] for start in range(0, len(order), self.batch)):
                optimizer.zero_grad()
                loss(network(standard[rows]), rows).backward()
                optimizer.step()
        return Perceptron(centre, scale, tuple((_array(layer.weight.T), _array(layer.bias)) for layer in layers))

    def regression(self, inputs: Matrix, target: Matrix) -> Perceptron:
        """The network whose one output is nearest to `target`, by squared error."""
        import torch

        mean = target.mean()
        wanted = torch.from_numpy((target - mean).astype(np.float32))
        fitted = self.network(inputs, 1, lambda outputs, rows: ((outputs[:, 0] - wanted[rows]) ** 2).mean())
        *hidden, (last, bias) = fitted.layers
        return Perceptron(fitted.centre, fitted.scale, (*hidden, (last, bias + mean)))


def examples(
    requests: Sequence[Request], answers: Sequence[Sequence[int]]
) -> tuple[Matrix, list[NDArray[np.float64]], Matrix]:
    """For each training request its embedding (a row), the logs of its answers, and their mean."""
    sampled = log_lengths(requests, answers)
    if len(requests) < FEWEST:
        raise ValueError(f"a predictor on embeddings needs {FEWEST} training requests or more, got {len(requests)}")
    return sentences_of(requests).astype(float), sampled, np.array([logs.mean() for logs in sampled])


def _array(parameter: Any) -> Matrix:
    return np.array(parameter.detach().numpy(), dtype=float)

"""What the learned predictors see of a prompt: its text's statistics beside the encoder's layers, standardized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.predictor.encoder import Array, encoder, normalized
from policies.predictor.text_statistics import statistics_of, text_of
from sim.request import Request

FARTHEST = 4.0  # standard deviations: farther inputs are drawn in


def sentences_of(requests: Sequence[Request]) -> Array:
    """The normalized sentence embeddings of the prompts."""
    return encoder().sentences([text_of(request) for request in requests])


@dataclass(frozen=True, slots=True, eq=False)
class TextInputs:
    """A row for each request: `statistics_of`, then the normalized states of `layers` (from 1), each column centred.

    Within `FARTHEST` of its `centre`, in units of its `scale`. No layers, no encoder.
    """

    layers: tuple[int, ...]
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]

    def of(self, requests: Sequence[Request]) -> Array:
        """The inputs for `requests`, a row each."""
        standard = (_raw(requests, self.layers) - self.centre) / self.scale
        return np.asarray(np.clip(standard, -FARTHEST, FARTHEST), dtype=np.float32)


def fit_inputs(requests: Sequence[Request], layers: Sequence[int]) -> TextInputs:
    """Inputs with the means and deviations that training requests have."""
    raw = _raw(requests, tuple(layers))
    scale = raw.std(axis=0)
    scale[scale < 1e-6] = 1.0
    return TextInputs(tuple(layers), raw.mean(axis=0), scale)


def _raw(requests: Sequence[Request], layers: tuple[int, ...]) -> Array:
    parts = [statistics_of(requests)]
    if layers:
        states = encoder().layers([text_of(request) for request in requests])
        parts += [normalized(states[:, layer - 1]) for layer in layers]
    return np.concatenate(parts, axis=1)

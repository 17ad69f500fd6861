"""Double deep Q-learning (van Hasselt et al. 2016) in torch: a network that values choices, and a copy that lags."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.learning.replay import Batch
from experiments.learning.settings import Settings
from policies.routing.features import Features
from policies.routing.network import Network

STATEFUL = ("values", "target", "optimizer")


def layers(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these `sizes` with a ReLU between them."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class DoubleDQN:
    """Q(s, a) is drawn to r + gamma^n Q'(s', argmax Q(s', .)), n steps on, by Huber's loss; Q' is a copy that lags."""

    def __init__(self, features: Features, settings: Settings, seed: int) -> None:
        torch.set_num_threads(1)  # small layers: more threads are slower, and sums would depend on their number
        self.features, self.settings = features, settings
        sizes = (features.size, *settings.hidden, len(features.models))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.values, self.target = layers(sizes), layers(sizes)
        self.target.load_state_dict(self.values.state_dict())
        self.optimizer = torch.optim.Adam(self.values.parameters(), lr=settings.learning_rate, fused=True)
        self.loss = nn.HuberLoss(delta=settings.huber)
        self.updates = 0

    def update(self, batch: Batch, learning_rate: float) -> tuple[float, float]:
        """One step of gradient; the loss, and the mean value of what was chosen."""
        seen, chosen, reward, then = map(torch.from_numpy, batch)
        wanted = reward
        if self.settings.gamma:
            with torch.no_grad():
                best = self.values(then).argmax(1, keepdim=True)
                behind = self.target(then).gather(1, best).squeeze(1)
                wanted = reward + self.settings.gamma**self.settings.steps * behind
        value = self.values(seen).gather(1, chosen.unsqueeze(1)).squeeze(1)
        loss = self.loss(value, wanted)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.settings.target_updates == 0:
            self.target.load_state_dict(self.values.state_dict())
        return float(loss.detach()), float(value.detach().mean())

    def network(self, provenance: dict[str, Any] | None = None) -> Network:
        """The network as it would ship: in half precision."""
        arrays = [part.detach().numpy().astype(np.float16).astype(np.float32) for part in self.values.parameters()]
        return Network(
            self.features, tuple(array.T.copy() for array in arrays[::2]), tuple(arrays[1::2]), provenance or {}
        )

    def state(self) -> dict[str, Any]:
        """All that training it further depends on."""
        return {"updates": self.updates, **{name: getattr(self, name).state_dict() for name in STATEFUL}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.updates = int(state["updates"])
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])

"""The model that a trained network values most: learned best-effort serving (2401.07886, section 2 of the notes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policies.routing.least_loaded import least_loaded_of
from policies.routing.network import Network
from policies.routing.network import load as read
from sim.job import Job
from sim.policy import Leg, ReplicaView


@dataclass(frozen=True, slots=True)
class Learned:
    """To the replica with the fewest jobs of the model to which `network` gives the highest value."""

    network: Network

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg; ValueError for a cluster, LookupError for a request, that the network does not know."""
        known = self.network.features
        best = int(self.network.values(known.of(job, cluster)).argmax())
        return (Leg(least_loaded_of(cluster, known.models[best])),)


def load(network: str | Path) -> Learned:
    """A routing by the network in a file, one that ships or was trained by `tokenyard learn`."""
    return Learned(read(network))

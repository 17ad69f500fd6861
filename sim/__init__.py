"""The engine: a discrete-event model of language-model serving on SimPy. It imports none of its sibling packages."""

from sim.cluster import Cluster, Leg, Link, simulate
from sim.policy import Execution, Keep, Overhead, Policy
from sim.record import Tables
from sim.replica import Device, Unservable
from sim.request import Prediction, Request, Truth
from sim.step import Hold, Profile, Step

__all__ = [
    "Cluster",
    "Device",
    "Execution",
    "Hold",
    "Keep",
    "Leg",
    "Link",
    "Overhead",
    "Policy",
    "Prediction",
    "Profile",
    "Request",
    "Step",
    "Tables",
    "Truth",
    "Unservable",
    "simulate",
]

"""The engine: a discrete-event model of language-model serving on SimPy. It imports none of its sibling packages."""

from sim.cluster import Cluster, Link, simulate
from sim.device import Device, Unservable
from sim.policy import Execution, Keep, Leg, Overhead, Phases, Policy
from sim.prediction import Distribution, Prediction
from sim.record import Record, Tables
from sim.request import Request, Truth
from sim.step import Hold, Line, Profile, Step

__all__ = [
    "Cluster",
    "Device",
    "Distribution",
    "Execution",
    "Hold",
    "Keep",
    "Leg",
    "Line",
    "Link",
    "Overhead",
    "Phases",
    "Policy",
    "Prediction",
    "Profile",
    "Record",
    "Request",
    "Step",
    "Tables",
    "Truth",
    "Unservable",
    "simulate",
]

"""The engine: a discrete-event model of language-model serving on SimPy. It imports none of its sibling packages."""

from sim.cluster import Cluster, Link
from sim.device import Device, Unservable
from sim.engine.plan import Plan
from sim.engine.scheduler import Scheduler
from sim.execution import Execution, IterationLevel, Phases, RequestLevel
from sim.policy import FixedOrder, Keep, Leg, NotingOrder, Order, Overhead, Policy, Predictor, Stands
from sim.prediction import Distribution, Prediction
from sim.record import Record, Tables
from sim.request import Request, Truth
from sim.simulation import simulate
from sim.step import Hold, Line, Profile, Step

__all__ = [
    "Cluster",
    "Device",
    "Distribution",
    "Execution",
    "FixedOrder",
    "Hold",
    "IterationLevel",
    "Keep",
    "Leg",
    "Line",
    "Link",
    "NotingOrder",
    "Order",
    "Overhead",
    "Phases",
    "Plan",
    "Policy",
    "Prediction",
    "Predictor",
    "Profile",
    "Record",
    "Request",
    "RequestLevel",
    "Scheduler",
    "Stands",
    "Step",
    "Tables",
    "Truth",
    "Unservable",
    "simulate",
]

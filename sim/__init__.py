"""The engine: a discrete-event model of language-model serving on SimPy. It imports none of its sibling packages."""

from sim import build as build  # first, for it says which engine is imported from here on
from sim.cluster import Cluster
from sim.decoding import Decoding, Passes, PricedProfile
from sim.device import Copying, Device, HostMemory, HostTime, Unservable
from sim.engine.plan import Plan
from sim.engine.scheduler import Scheduler
from sim.execution import Execution, IterationLevel, Phases, RequestLevel, Until
from sim.link import Link, Sharing
from sim.overhead import Overhead
from sim.policy import (
    Batching,
    Cause,
    Eviction,
    FixedOrder,
    Keep,
    Leg,
    Load,
    NotingOrder,
    Order,
    Policy,
    Predictor,
    Review,
    Short,
    Stands,
)
from sim.prediction import Distribution, PredictedPause, Prediction
from sim.record import Record, Span, Tables
from sim.replay import simulate
from sim.request import Pause, Proposal, Request, Truth
from sim.simulation import Question, Simulation
from sim.step import Hold, Line, Profile, Step

__all__ = [
    "Batching",
    "Cause",
    "Cluster",
    "Copying",
    "Decoding",
    "Device",
    "Distribution",
    "Eviction",
    "Execution",
    "FixedOrder",
    "Hold",
    "HostMemory",
    "HostTime",
    "IterationLevel",
    "Keep",
    "Leg",
    "Line",
    "Link",
    "Load",
    "NotingOrder",
    "Order",
    "Overhead",
    "Passes",
    "Pause",
    "Phases",
    "Plan",
    "Policy",
    "PredictedPause",
    "Prediction",
    "Predictor",
    "PricedProfile",
    "Profile",
    "Proposal",
    "Question",
    "Record",
    "Request",
    "RequestLevel",
    "Review",
    "Scheduler",
    "Sharing",
    "Short",
    "Simulation",
    "Span",
    "Stands",
    "Step",
    "Tables",
    "Truth",
    "Unservable",
    "Until",
    "simulate",
]

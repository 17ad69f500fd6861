"""Of orders that go by a distribution of lengths: what is predicted of a job, and no silent guess where nothing is."""

from __future__ import annotations

from sim.job import Job
from sim.prediction import Distribution


def distribution_of(job: Job) -> Distribution:
    """The distribution that is predicted of the length of its answer; ValueError if its predictor says none."""
    told = job.prediction.distribution
    if told is None:
        raise ValueError(
            f"request {job.request.id}: policy.order ranks by a predicted distribution of lengths, the predictor says "
            "a number alone; predictor=ssjf_confusion, trail, tfidf, log_t, gbm, history, samples and oracle say a "
            "distribution (docs/predictors.md)"
        )
    return told

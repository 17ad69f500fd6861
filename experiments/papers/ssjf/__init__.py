"""SSJF (Qiu et al., AIOps 2024, arXiv 2404.08509): shortest job first by a proxy model's prediction."""

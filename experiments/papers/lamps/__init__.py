"""LAMPS (Shahout et al., arXiv 2410.18248; MARS at NeurIPS 2025): rank by memory over time, of those that call out."""

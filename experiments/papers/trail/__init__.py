"""TRAIL (Shahout et al., ICLR 2025, arXiv 2410.01035): shortest predicted remaining time, with limited preemption."""

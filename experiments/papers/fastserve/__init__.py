"""FastServe (Wu et al., NSDI 2026, arXiv 2305.05920): skip-join multilevel feedback queues and proactive swapping."""

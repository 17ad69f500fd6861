"""ALISE (Zhao et al., ICCAD 2024, arXiv 2410.23537): speculative scheduling, known from its abstract and summaries."""

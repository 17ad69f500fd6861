"""INFERCEPT (Abhyankar et al., ICML 2024, arXiv 2402.01869): what becomes of the KV of requests that call out."""

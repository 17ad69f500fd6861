"""Hydra config of tokenyard profile analytic: datasheets of devices, and how an engine launches its operators."""

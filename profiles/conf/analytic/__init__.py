"""Hydra config of profiles.analytic: datasheets of devices, and how an engine launches its operators."""

"""Random command lines of tokenyard, and what must come of each: `python tests/fuzz_settings.py`."""

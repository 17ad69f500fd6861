"""The machinery of a replica; only `sim` and the tests import it."""

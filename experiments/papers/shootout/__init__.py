"""The shoot-out: every order of the project on one engine, the same traces, the same seeds."""

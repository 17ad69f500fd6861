"""The simulator beside real engines: what they serve, how far the two are apart, and what policies bring in each."""

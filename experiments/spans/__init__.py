"""What happened in a run, from the spans of its requests, and why one run is slower than another."""

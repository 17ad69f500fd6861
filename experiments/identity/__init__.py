"""What went into a run, by content: settings, inputs, code."""

"""What belongs to one paper alone: a folder each."""

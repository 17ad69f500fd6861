"""What INFERCEPT and LAMPS share: requests that call out in the midst of their answers."""

"""How many tokens a pass proposes and emits, and what such passes take."""

"""What was given on the command line, checked before anything runs: each setting is read, or refused."""

"""One HTML page of a folder of results, which needs no network."""

"""One run each, from files to a folder of results."""

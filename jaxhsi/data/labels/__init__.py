"""Label maps of every format, matched to cubes."""

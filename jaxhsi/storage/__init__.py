"""Files that are whole or refused: replaced in one step, with checksums, by one process."""

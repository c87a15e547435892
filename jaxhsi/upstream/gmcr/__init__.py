"""EB-gMCR as published: pool, gates and concentrations trained together."""

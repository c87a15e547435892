"""Pure maths of EB-gMCR: unmixing with an unknown number of components."""

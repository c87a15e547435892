"""Readers of file formats; one file per format, each streaming into a store."""

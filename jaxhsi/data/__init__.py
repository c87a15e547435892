"""Cubes on disk, labels, streams of windows, and built-in scenes with known truth."""

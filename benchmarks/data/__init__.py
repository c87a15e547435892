"""Benchmarks of reading and writing cubes."""

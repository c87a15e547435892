"""Benchmarks of unmixing."""

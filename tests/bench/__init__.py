"""Benchmarks: programs that print a table and compare with a reference in the same run."""

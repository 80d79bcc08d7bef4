"""Execution: a worker claims a generation by lease, runs its provider attempts, stores the output and settles the money."""

"""Limits that all processes of a region share: one count per name and window in Valkey, or here while it is away."""

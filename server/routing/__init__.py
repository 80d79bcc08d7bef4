"""Routing: which models exist, who serves them, and in which order providers are tried."""

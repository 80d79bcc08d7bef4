"""Logs: requests, key usage and activity of an account; written beside the work, read by its members."""

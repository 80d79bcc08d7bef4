"""The regional server: one folder per service, all of the same shape."""

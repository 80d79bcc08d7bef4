"""The outside world in a box: a local HTTP server that speaks the inference providers' own protocols."""

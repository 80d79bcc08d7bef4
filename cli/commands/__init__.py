"""One module per command: `register` declares its arguments, `run` is its story."""

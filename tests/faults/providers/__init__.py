"""What providers do wrong, done at two kinds of them on a real stack, and what must be true afterwards."""

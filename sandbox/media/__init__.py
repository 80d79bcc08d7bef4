"""Real pictures and films, drawn from the words of a prompt."""

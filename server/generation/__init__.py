"""Generations: from the request to the stored output and the settled money."""

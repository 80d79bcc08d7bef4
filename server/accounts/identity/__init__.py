"""Identity: who people are in one region, and how they prove it."""

"""Privacy: what people agreed to, and the inventory of everything that is personal."""

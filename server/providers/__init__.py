"""Inference providers: one file per provider behind one protocol. Providers never learn who the customer is."""

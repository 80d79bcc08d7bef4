"""Version 1 of the public contract: one module per subject, and the models that are the contract."""

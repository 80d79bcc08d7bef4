"""API keys: making, listing, revoking and verifying them."""

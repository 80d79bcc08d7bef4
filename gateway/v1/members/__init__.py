"""Routes for people: signing in, and everything that a signed-in member does."""

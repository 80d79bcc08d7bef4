"""What tests share: a real PostgreSQL for the run, and a region's parts on top of it."""

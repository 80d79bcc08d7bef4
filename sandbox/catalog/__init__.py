"""What each provider serves: one file per provider. Data, not code."""

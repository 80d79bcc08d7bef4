"""Settings of accounts: residency, alerts, and how an account stands."""

"""Teams: who belongs to an account, in which role, and who is invited."""

"""Accounts: who owns keys, generations and money in one region."""

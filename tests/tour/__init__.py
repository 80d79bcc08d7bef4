"""One picture and one film through every provider that makes them, by the public REST API on a real stack."""

"""What happens around every call of the regional server, as named stages whose order is checked at start."""

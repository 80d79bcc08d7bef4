"""The providers' official SDKs and our adapters, both asked to do the same at the sandbox, and what each of them sent."""

"""What every service of a region stands on: database, identity, encryption, leases, interceptors, lifecycle."""

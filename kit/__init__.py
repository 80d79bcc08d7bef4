"""What every program shares: settings, telemetry, errors, ids, money and the clock. Imports nothing else of ours."""

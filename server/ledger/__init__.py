"""The ledger: prepaid credits as a hash-chained double-entry journal. All rules live in its SQL functions."""

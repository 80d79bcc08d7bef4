"""What `babysea demo` shows: one picture and one video per region, from the POST to the ledger."""

"""The `babysea` command: runs, uses and looks into a control plane."""

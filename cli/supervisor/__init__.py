"""The embedded stack: starts, watches and stops every program that `babysea up` runs."""

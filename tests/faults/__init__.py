"""Crashes at named moments: every fault point, with the server and with the worker killed there (`make faults`)."""

"""`bin/status`: what a stack's cluster looks like right now. Read-only; begin with `report.py`."""

"""Droplets: the image they boot from, their first boot's data, and the processes that keep them running."""

"""Tests replace this."""

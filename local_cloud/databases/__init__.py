"""Managed databases: PostgreSQL as DigitalOcean gives it."""

"""Managed databases: PostgreSQL as DigitalOcean gives it, and MariaDB where DigitalOcean gives MySQL."""

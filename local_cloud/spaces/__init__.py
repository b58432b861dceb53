"""Spaces, DigitalOcean's object storage: a store with S3's API for each region, and the access keys to them all."""

"""DigitalOcean's API v2 as a small REST server: `app` puts it together, `store` remembers, `work` takes its time."""

"""What the cloud sells: regions, droplet sizes, images, database engines and load balancer sizes, by slug.

Facts and prices (USD) are DigitalOcean's own: https://www.digitalocean.com/pricing and the answers of
`GET /v2/regions`, `/v2/sizes`, `/v2/images` and `/v2/databases/options`.
"""

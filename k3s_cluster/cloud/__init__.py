"""What DigitalOcean keeps for a cluster: one module for each room."""

"""What the DigitalOcean account says before anything is made: whether the plan can work, and what it will cost."""

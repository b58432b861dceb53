"""A DigitalOcean on one Linux machine, made of real parts. See README.md in this folder."""

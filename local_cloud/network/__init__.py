"""Namespaces, routes, firewall rules and names: the cloud's internet."""

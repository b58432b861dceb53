"""A stand-in for K3s: its contract around real Kubernetes programs.

program/ is k3s itself, with kine inside, installer/ what get.k3s.io serves.
"""

"""Load balancers: HAProxy, one per load balancer."""

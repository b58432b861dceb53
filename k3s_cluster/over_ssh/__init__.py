"""What is done on the nodes, over SSH: everything that K3s is told, and the kubeconfig that comes back."""

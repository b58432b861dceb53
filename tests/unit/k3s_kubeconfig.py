"""The kubeconfig that K3s writes on a server, with stand-ins for what is secret in it."""

K3S_YAML = """
apiVersion: v1
clusters:
- cluster: {certificate-authority-data: Q0E=, server: https://127.0.0.1:6443}
  name: default
contexts:
- context: {cluster: default, user: default}
  name: default
current-context: default
kind: Config
users:
- name: default
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
"""

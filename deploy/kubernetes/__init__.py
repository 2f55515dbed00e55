"""A plan as objects for Kubernetes."""

"""A real Kubernetes for the tests, wherever they run."""

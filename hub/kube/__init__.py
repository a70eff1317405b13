"""Talking to a Kubernetes API server: requests, watches, the lease. Nothing here knows of workspaces."""

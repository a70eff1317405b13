"""`podium doctor`: whether a cluster has what the Kubernetes backend needs, and what to do where it has not."""

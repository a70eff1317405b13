"""`podium doctor`: whether a cluster has what Podium needs, and what to do where it has not."""

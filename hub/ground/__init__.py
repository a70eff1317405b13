"""Where a hub stands: on one machine, or in a cluster. Each is imported only by those who stand there."""

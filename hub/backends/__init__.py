"""What runs workloads: processes on one machine, or pods on Kubernetes."""

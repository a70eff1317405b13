"""The Kubernetes backend: every workspace a namespace of its own, its pods made by the controller itself."""

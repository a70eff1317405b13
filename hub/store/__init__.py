"""Where Workspace objects are kept: files on one machine, custom resources on Kubernetes."""

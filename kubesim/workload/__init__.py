"""What runs on a cluster: manifests from files, and generated nodes and Pods. The package holds no code of its own."""

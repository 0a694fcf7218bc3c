"""What stands around a cluster: load balancers and the address that they share."""

"""etcd: the store as etcd serves it, with leases, watches and transactions. Only the apiserver talks to this room."""

"""The kit that holds an etcd cluster to its promises: invariants, a reference, clients that record, schedules of faults, known bugs."""

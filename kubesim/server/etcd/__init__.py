"""An etcd member as a process: ``kubesim etcd``. The member is ``kubesim.etcd``'s; here are its clock, disk, sockets and flags.

``clock`` the kernel on an event loop · ``files`` the data directory · ``disk`` log and snapshots in it · ``peers`` the other members ·
``front`` connections of clients · ``grpc`` ``gateway`` ``pages`` what they are served · ``flags`` ``process`` how it starts and ends.
"""

"""kube-proxy: Services and EndpointSlices become a table per node, and a flow picks a backend from it.

``service_port`` and ``endpoint`` are what it reads, ``topology`` which endpoints a node may use, ``table`` the compiled rules, ``route``
the decision about one flow, ``modes/`` how each mode chooses and what its dump looks like, ``proxies`` the shell over the informers.
Nothing here moves a byte: the table and the pick are what kube-proxy decides, and ``Cluster.connect`` asks them.
"""

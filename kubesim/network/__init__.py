"""The Pod network: what a CNI plugin and the cluster's DNS decide. Pure functions of objects, and the state of the links between nodes.

``policy`` says whether NetworkPolicies let one Pod speak to another, ``dns`` resolves names as CoreDNS does, ``links`` holds which nodes
cannot reach each other and how long the way is. Addresses are given out on the node (``kubelet/doors/cni.py``).
"""

"""Raft as a pure library: step(message), tick(), ready() as data; no I/O, no clock, its own random stream.

``messages`` the vocabulary · ``quorum`` majorities and joint majorities · ``progress`` what a leader knows of one follower ·
``membership`` configurations and how they change · ``log`` the stable and the unstable log · ``reads`` linearizable reads ·
``core`` the state machine · ``roles`` what each role does with a message · ``node`` the contract with storage and network (Ready).

The behaviour is that of go.etcd.io/raft/v3 (pre-vote, check-quorum, joint consensus, learners, leadership transfer, read index and
lease reads, flow control, asynchronous storage writes), held to its data-driven tests.
"""

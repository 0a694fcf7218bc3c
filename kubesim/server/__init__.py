"""Servers: the engine's pure rooms behind sockets, files and the wall clock. Upstream clients cannot tell the difference.

``http`` HTTP/1.1, HTTP/2 and WebSocket as bytes in and bytes out · ``etcd`` an etcd member.
"""

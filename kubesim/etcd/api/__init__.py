"""etcd's v3 API on one member: every call as a function from a message to a message, the streams as objects. Pure: no sockets, no clock.

``calls`` how a call waits without an event loop · ``context`` what all calls share · ``kv`` ``lease`` ``cluster`` ``maintenance`` ``auth``
``concurrency`` the services · ``watch_stream`` ``lease_stream`` ``snapshot_stream`` the streams · ``server`` the table of all methods.
"""

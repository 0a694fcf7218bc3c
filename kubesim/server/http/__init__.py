"""HTTP as bytes in and bytes out: no sockets here. ``hpack`` ``http2`` ``http1`` ``websocket``."""

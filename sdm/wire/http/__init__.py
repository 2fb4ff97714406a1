"""HTTP/1.1, for something that stands between a client and a site.

heads      request and status lines with their fields: read strictly, written anew
bodies     how long a body is, and its bytes without the framing
websocket  where the frames of a server end, and the one that says goodbye

A message that can be read in two ways is refused, and what goes on is written by us: so whoever reads it next sees the
same message as we did. After RFC 9110 and RFC 9112.
"""

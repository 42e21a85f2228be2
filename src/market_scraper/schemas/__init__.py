"""What users receive: the shapes of HTTP and WebSocket answers, one module a resource.

Every shape is a frozen msgspec struct: it is encoded as it stands, and the OpenAPI document is made from it.
Times are UTC and written as ISO-8601 with `Z`; numbers are JSON numbers, and one that is not finite is null.
"""

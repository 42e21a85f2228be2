"""Waits in real seconds, for the outside world's patience does not scale with a paper venue's clock."""

STOP_S = 8.0  # from SIGTERM to the last flush; the promise is 10
HTTP_S = 15.0  # one upstream request, connect to last byte
LEADERBOARD_HTTP_S = 120.0  # 39 MB
ONCHAIN_HTTP_S = 30.0  # the largest on-chain answers have a few MB, from hosts of all kinds
SOCKET_OPEN_S = 10.0  # a WebSocket handshake
SQLITE_BUSY_S = 5.0  # waiting for another process's lock
MONGO_SELECT_S = 3.0  # until a MongoDB server answers at all, at start too
MONGO_ANSWER_S = 4.0  # one answer of MongoDB: a frozen server must not keep us from stopping in time
REDIS_CONNECT_S = 3.0  # until a Redis server takes a connection, at start too
REDIS_ANSWER_S = 5.0  # one answer of Redis, a frozen server's too
BUS_MEMBER_S = 6.0  # a reader that says nothing for so long loses its partitions to the others
BUS_READER_GONE_S = 600.0  # a group or follower that is away for so long no longer keeps events from being cut
REPORT_S = 2.0  # until the bus takes what a process says of its health; it is said again all the time
LEASE_S = 4.0  # a lease that is not renewed for so long is free; taking over must be well under 10
CLIENT_HEARTBEAT_S = 15.0  # server heartbeat on /ws
COMMAND_S = 10.0  # a CLI command that asks a running server

"""Waits in real seconds, for the outside world's patience does not scale with a paper venue's clock."""

STOP_S = 8.0  # from SIGTERM to the last flush; the promise is 10
HTTP_S = 15.0  # one upstream request, connect to last byte
LEADERBOARD_HTTP_S = 120.0  # 39 MB
SOCKET_OPEN_S = 10.0  # a WebSocket handshake
SQLITE_BUSY_S = 5.0  # waiting for another process's lock
CLIENT_HEARTBEAT_S = 15.0  # server heartbeat on /ws
COMMAND_S = 10.0  # a CLI command that asks a running server

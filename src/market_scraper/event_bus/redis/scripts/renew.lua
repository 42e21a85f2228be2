-- The server's script cache was empty: it has restarted, perhaps with older data. Number on from a new reservation.
redis.call('DEL', base .. ':mark')
return 1

-- ARGV: follower.
even_without_memory()
redis.call('HDEL', base .. ':cursors', ARGV[1])
redis.call('ZREM', base .. ':readers', 'f:' .. ARGV[1])
return 1

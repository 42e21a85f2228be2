-- ARGV: follower, milliseconds that it may be away, most events, cursor or '' to begin behind everything, kinds.
-- Gives {cursor, newest number, 1 if there is more, [id, kind, event, ...]}, or {-1}: it was given up. Everything of the
-- wanted kinds up to the cursor has been given then.
even_without_memory()
local follower, cursor = ARGV[1], tonumber(ARGV[4])
local newest = newest_seq()
if not cursor then
  cursor = newest
elseif redis.call('HEXISTS', base .. ':cursors', follower) == 0 then
  return { -1 }
end
redis.call('HSET', base .. ':cursors', follower, whole(cursor))
redis.call('ZADD', base .. ':readers', whole(now_ms() + tonumber(ARGV[2])), 'f:' .. follower)
local most = tonumber(ARGV[3])
if most == 0 then
  return { cursor, newest, newest > cursor and 1 or 0, {} }
end
local reaches, given = entries_between(cursor, newest, most, 5)
return { reaches, newest, newest > reaches and 1 or 0, given }

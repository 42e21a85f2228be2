-- ARGV: group, member. Its partitions are free at once; what it has not acknowledged comes to the next owner.
even_without_memory()
local owners = base .. ':g:' .. ARGV[1] .. ':o'
redis.call('ZREM', base .. ':g:' .. ARGV[1] .. ':m', ARGV[2])
local all = redis.call('HGETALL', owners)
for place = 1, #all, 2 do
  if all[place + 1] == ARGV[2] then
    redis.call('HDEL', owners, all[place])
  end
end
deal_anew(ARGV[1])
redis.call('DEL', base .. ':full')
redis.call('INCR', base .. ':rooms')
wake()
return { tonumber(redis.call('HGET', base .. ':waiting', ARGV[1]) or '0') }

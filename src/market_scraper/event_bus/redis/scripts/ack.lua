-- ARGV: group, then partition, its numbers with a space between; and again. Gives {waiting}.
even_without_memory()
local group, done = ARGV[1], 0
for place = 2, #ARGV, 2 do
  local ids = {}
  for id in string.gmatch(ARGV[place + 1], '%d+') do
    ids[#ids + 1] = id
  end
  done = done + redis.call('XACK', stream(ARGV[place]), group, unpack(ids))
end
local waiting = tonumber(redis.call('HGET', base .. ':waiting', group) or '0')
if done > 0 then
  waiting = redis.call('HINCRBY', base .. ':waiting', group, -done)
  make_room()
end
return { waiting }

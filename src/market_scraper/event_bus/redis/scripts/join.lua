-- ARGV: group, size or 0, milliseconds that it may be away, kinds. A new group begins behind everything; one that is
-- known goes on where it was. Size 0 declares it without reading for it: if it is known, nothing changes.
-- Gives {1 if it is new}.
even_without_memory()
local group = ARGV[1]
local kinds = {}
for place = 4, #ARGV do
  kinds[#kinds + 1] = ARGV[place]
end
local known = redis.call('HGET', base .. ':groups', group)
if known and ARGV[2] == '0' then
  return { 0 }
end
redis.call('HSET', base .. ':groups', group, cmsgpack.pack({ size = tonumber(ARGV[2]), kinds = kinds }))
redis.call('ZADD', base .. ':readers', whole(now_ms() + tonumber(ARGV[3])), 'g:' .. group)
local keys = redis.call('ZRANGE', base .. ':keys', 0, -1)
if not known then
  for _, key in ipairs(keys) do
    redis.pcall('XGROUP', 'DESTROY', stream(key), group)
    redis.call('XGROUP', 'CREATE', stream(key), group, '$', 'MKSTREAM')
  end
  redis.call('HSET', base .. ':waiting', group, 0)
  redis.call('HSET', base .. ':behind', group, whole(newest_seq()))
  return { 1 }
end
if table.concat(cmsgpack.unpack(known).kinds, ' ') ~= table.concat(kinds, ' ') then
  -- A newer program asks for other kinds: what waits is counted anew.
  local wanted, waiting = {}, 0
  for _, kind in ipairs(kinds) do
    wanted[kind] = true
  end
  for _, key in ipairs(keys) do
    for _, found in ipairs(redis.call('XINFO', 'GROUPS', stream(key))) do
      local facts = {}
      for place = 1, #found, 2 do
        facts[found[place]] = found[place + 1]
      end
      if facts['name'] == group then
        waiting = waiting + facts['pending']
        for _, entry in ipairs(redis.call('XRANGE', stream(key), '(' .. facts['last-delivered-id'], '+')) do
          waiting = waiting + (wanted[entry[2][1]] and 1 or 0)
        end
      end
    end
  end
  redis.call('HSET', base .. ':waiting', group, waiting)
end
return { 0 }

-- ARGV: least milliseconds since the last time, milliseconds after which time without anybody looking does not count.
-- Gives up readers beyond their deadline and cuts what everybody has read. Gives {waiting: [group, n, ...], entries
-- held, readers given up so far, names given up now, groups that nobody reads now}.
even_without_memory()
local now = now_ms()
local tended = tonumber(redis.call('GET', base .. ':tended') or whole(now))
local readers = base .. ':readers'
local given_up = {}
local keys = redis.call('ZRANGE', base .. ':keys', 0, -1)
if now - tended >= tonumber(ARGV[1]) or tended == now then
  redis.call('SET', base .. ':tended', whole(now))
  if now - tended > tonumber(ARGV[2]) then
    for _, reader in ipairs(redis.call('ZRANGE', readers, 0, -1)) do
      redis.call('ZINCRBY', readers, whole(now - tended), reader)
    end
  end
  given_up = redis.call('ZRANGEBYSCORE', readers, '-inf', '(' .. whole(now))
  for _, reader in ipairs(given_up) do
    local name = string.sub(reader, 3)
    if string.sub(reader, 1, 2) == 'g:' then
      redis.call('HDEL', base .. ':groups', name)
      redis.call('HDEL', base .. ':waiting', name)
      redis.call('DEL', base .. ':g:' .. name .. ':m', base .. ':g:' .. name .. ':o')
      for _, key in ipairs(keys) do
        redis.call('XGROUP', 'DESTROY', stream(key), name)
      end
    else
      redis.call('HDEL', base .. ':cursors', name)
    end
    redis.call('ZREM', readers, reader)
    redis.call('INCR', base .. ':given_up')
  end

  local read_by_all = newest_seq() -- by all followers
  for _, cursor in ipairs(redis.call('HVALS', base .. ':cursors')) do
    read_by_all = math.min(read_by_all, tonumber(cursor))
  end
  local cut = 0
  for _, key in ipairs(keys) do
    if redis.call('XLEN', stream(key)) > 0 then
      local least = read_by_all + 1
      for _, found in ipairs(redis.call('XINFO', 'GROUPS', stream(key))) do
        local facts = {}
        for place = 1, #found, 2 do
          facts[found[place]] = found[place + 1]
        end
        local unread = tonumber(string.match(facts['last-delivered-id'], '^%d+')) + 1
        if facts['pending'] > 0 then
          unread = tonumber(string.match(redis.call('XPENDING', stream(key), facts['name'])[2], '^%d+'))
        end
        least = math.min(least, unread)
      end
      cut = cut + redis.call('XTRIM', stream(key), 'MINID', whole(least))
    end
  end
  if cut > 0 or #given_up > 0 then
    make_room()
  end
end
local held, absent = 0, {}
for _, key in ipairs(keys) do
  held = held + redis.call('XLEN', stream(key))
end
for _, name in ipairs(redis.call('HKEYS', base .. ':groups')) do
  if redis.call('ZCOUNT', base .. ':g:' .. name .. ':m', whole(now), '+inf') == 0 then
    absent[#absent + 1] = name
  end
end
local total = tonumber(redis.call('GET', base .. ':given_up') or '0')
return { redis.call('HGETALL', base .. ':waiting'), held, total, given_up, absent }

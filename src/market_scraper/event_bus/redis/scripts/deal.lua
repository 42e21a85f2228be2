-- ARGV: group, member, milliseconds until it is given up, milliseconds that the group may be away, 1 = it was cut off
-- until now, partitions that it has nothing of under way and may give.
-- A member says that it lives and is told {epoch, partitions that it owns, those of them that it should give}; or {-1}:
-- the group is gone. Every partition has one owner; only its owner gives it, or loses it by not living.
even_without_memory()
local group, member = ARGV[1], ARGV[2]
if redis.call('HEXISTS', base .. ':groups', group) == 0 then
  return { -1 }
end
local members, owners = base .. ':g:' .. group .. ':m', base .. ':g:' .. group .. ':o'
local now = now_ms()
local until_ms = whole(now + tonumber(ARGV[3]))
redis.call('ZADD', base .. ':readers', whole(now + tonumber(ARGV[4])), 'g:' .. group)
local is_new = not redis.call('ZSCORE', members, member)
local gone = 0
if ARGV[5] == '1' then -- perhaps nobody could speak: the others get the same time to come back
  for _, other in ipairs(redis.call('ZRANGE', members, 0, -1)) do
    redis.call('ZADD', members, 'XX', 'GT', until_ms, other)
  end
else
  gone = redis.call('ZREMRANGEBYSCORE', members, '-inf', '(' .. whole(now))
end
redis.call('ZADD', members, until_ms, member)
local is_news = is_new or gone > 0

local released = {}
for place = 6, #ARGV do
  released[ARGV[place]] = true
end
local live = redis.call('ZRANGE', members, 0, -1)
table.sort(live)
local is_live = {}
for _, name in ipairs(live) do
  is_live[name] = true
end
local keys = redis.call('ZRANGE', base .. ':keys', 0, -1)
table.sort(keys)
local mine, leaving = {}, {}
for place, key in ipairs(keys) do
  local target = live[(place - 1) % #live + 1]
  local owner = redis.call('HGET', owners, key)
  if not owner or not is_live[owner] or (owner == member and target ~= member and released[key]) then
    redis.call('HSET', owners, key, target)
    owner = target
    is_news = is_news or target ~= member
  end
  if owner == member then
    mine[#mine + 1] = key
    if target ~= member then
      leaving[#leaving + 1] = key
    end
  end
end
local epoch = tonumber(redis.call('HGET', base .. ':epochs', group) or '0')
if is_news then
  epoch = deal_anew(group)
  wake()
end
return { epoch, mine, leaving }

-- ARGV: publisher, batch, least newest number, longest stream, calls, its last batch of which something was taken or 0.
-- calls: MessagePack [[fence or '', token, [kind, key, event, kind, key, event, ...]], ...], in the order of asking.
-- Gives {newest number, why not all: 0 all were taken, 1 a group is full, 2 a stream is full, 1 if the server has
-- forgotten what it had accepted, events taken of each call or -1: fenced off}; or {-1}: numbers have to be reserved first. A call is taken from its front, and nothing of a key
-- that an earlier event waits with. The same batch again gives the same answer and publishes nothing.
local memo = redis.call('GET', base .. ':p:' .. ARGV[1])
if memo then
  memo = cmsgpack.unpack(memo)
  if memo[1] == ARGV[2] then
    return memo[2]
  end
end
local calls = cmsgpack.unpack(ARGV[5])
local longest = tonumber(ARGV[4])
local seq = math.max(newest_seq(), tonumber(ARGV[3]))
local asked = 0
for _, call in ipairs(calls) do
  asked = asked + #call[3] / 3
end
if seq + asked > tonumber(redis.call('GET', base .. ':mark') or '-1') then
  return { -1 }
end

local now = whole(now_ms())
-- The answer to the last batch lies in the same data as its events: a server that came back without the one has not
-- the other. No group gets what is gone, so all begin behind it.
local has_forgotten = ARGV[6] ~= '0' and not (memo and memo[1] == ARGV[6])
local states, wanting = {}, {}
local registered = redis.call('HGETALL', base .. ':groups')
for place = 1, #registered, 2 do
  local name, group = registered[place], cmsgpack.unpack(registered[place + 1])
  local is_live = redis.call('ZCOUNT', base .. ':g:' .. name .. ':m', now, '+inf') > 0
  local waiting = tonumber(redis.call('HGET', base .. ':waiting', name) or '0')
  if has_forgotten then
    redis.call('HSET', base .. ':behind', name, whole(seq))
  end
  local state = { name = name, room = is_live and group.size - waiting or math.huge, added = 0 }
  states[#states + 1] = state
  for _, kind in ipairs(group.kinds) do
    wanting[kind] = wanting[kind] or {}
    table.insert(wanting[kind], state)
  end
end

local reply = { 0, 0, has_forgotten and 1 or 0 }
local blocked, lengths, newest = {}, {}, {}
local taken = 0
local nobody = {}

local function fits(kind, key)
  if blocked[key] then
    return false
  end
  if not lengths[key] then
    lengths[key] = redis.call('XLEN', stream(key))
  end
  if lengths[key] >= longest then
    reply[2] = 2
    return false
  end
  for _, state in ipairs(wanting[kind] or nobody) do
    if state.room <= 0 then
      reply[2] = math.max(reply[2], 1)
      return false
    end
  end
  return true
end

local function add(kind, key, event)
  seq = seq + 1
  if not newest[key] and not redis.call('ZSCORE', base .. ':keys', key) then
    for _, state in ipairs(states) do
      redis.call('XGROUP', 'CREATE', stream(key), state.name, '0', 'MKSTREAM')
      deal_anew(state.name)
    end
  end
  redis.call('XADD', stream(key), whole(seq) .. '-0', kind, event)
  newest[key] = seq
  lengths[key] = lengths[key] + 1
  taken = taken + 1
  for _, state in ipairs(wanting[kind] or nobody) do
    state.room = state.room - 1
    state.added = state.added + 1
  end
end

for place, call in ipairs(calls) do
  local fence, token, events = call[1], call[2], call[3]
  local count = 0
  if fence ~= '' and tonumber(redis.call('GET', base .. ':lease:' .. fence .. ':token') or '0') > token then
    count = -1
  else
    local open = true
    for at = 1, #events, 3 do
      if open and fits(events[at], events[at + 1]) then
        add(events[at], events[at + 1], events[at + 2])
        count = count + 1
      else
        open = false
        blocked[events[at + 1]] = true
      end
    end
  end
  reply[place + 3] = count
end

reply[1] = seq
if reply[2] > 0 then
  redis.call('SET', base .. ':full', '1')
end
if taken > 0 then
  redis.call('SET', base .. ':seq', whole(seq))
  for key, number in pairs(newest) do
    redis.call('ZADD', base .. ':keys', whole(number), key)
  end
  for _, state in ipairs(states) do
    if state.added > 0 then
      redis.call('HINCRBY', base .. ':waiting', state.name, state.added)
    end
  end
  redis.call('SET', base .. ':p:' .. ARGV[1], cmsgpack.pack({ ARGV[2], reply }), 'EX', 604800)
  wake()
end
return reply

-- ARGV: group, member, most events, since, number of kinds, kinds, then pairs: partition, and '>' or the number after
-- which to read what was delivered before and not acknowledged.
-- Gives {epoch, newest number, waiting, 1 if there may be more, one list a partition:
--        {partition, 1 = only new ones follow, [id, kind, event, ...] delivered before, [the same] new}}, or {-1}.
-- Partitions of others are passed over; new events of kinds that were not asked for are acknowledged.
even_without_memory()
local group, member, since = ARGV[1], ARGV[2], tonumber(ARGV[4])
if redis.call('HEXISTS', base .. ':groups', group) == 0 then
  return { -1 }
end
local wanted, first = {}, 6 + tonumber(ARGV[5])
for place = 6, first - 1 do
  wanted[ARGV[place]] = true
end
local owners = base .. ':g:' .. group .. ':o'
local due = {}
for place = first, #ARGV, 2 do
  local key, from = ARGV[place], ARGV[place + 1]
  if from ~= '>' or tonumber(redis.call('ZSCORE', base .. ':keys', key) or '0') > since then
    if redis.call('HGET', owners, key) == member then
      due[#due + 1] = { key, from }
    end
  end
end
local share = math.max(10, math.floor(tonumber(ARGV[3]) / math.max(1, #due)))
local more = 0

local function read(key, from)
  local found = redis.call('XREADGROUP', 'GROUP', group, 'owner', 'COUNT', share, 'STREAMS', stream(key), from)
  local kept, unwanted = {}, {}
  local entries = found and found[1][2] or {}
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    if fields and wanted[fields[1]] then
      kept[#kept + 1] = entry[1]
      kept[#kept + 1] = fields[1]
      kept[#kept + 1] = fields[2]
    else
      unwanted[#unwanted + 1] = entry[1]
    end
  end
  if #unwanted > 0 then
    local acknowledged = redis.call('XACK', stream(key), group, unpack(unwanted))
    if from ~= '>' then
      redis.call('HINCRBY', base .. ':waiting', group, -acknowledged)
    end
  end
  return kept, #entries == share, #entries > 0 and entries[#entries][1] or nil
end

local parts = {}
for _, what in ipairs(due) do
  local key, from = what[1], what[2]
  local before, fresh, is_full = {}, {}, false
  if from ~= '>' then
    before, is_full = read(key, from)
  end
  if is_full then
    more = 1
    parts[#parts + 1] = { key, 0, before, fresh }
  else
    fresh, is_full = read(key, '>')
    if is_full then
      more = 1
    end
    if from ~= '>' or #fresh > 0 then
      parts[#parts + 1] = { key, 1, before, fresh }
    end
  end
end
local waiting = tonumber(redis.call('HGET', base .. ':waiting', group) or '0')
local epoch = tonumber(redis.call('HGET', base .. ':epochs', group) or '0')
return { epoch, newest_seq(), waiting, more, parts }

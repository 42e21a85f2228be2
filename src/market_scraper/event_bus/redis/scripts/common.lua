-- Stands before every script. KEYS[1] is the namespace, in braces: all keys lie in one slot.
--   :seq        the newest number given              :mark     numbers up to it are reserved for good
--   :born       the first number of this data        :keys     zset: partition -> its newest number
--   :s:KEY      a partition's stream, id = NUMBER-0, one field: kind -> event
--   :groups     hash: group -> {size, kinds}         :waiting  hash: group -> events unread or unacknowledged
--   :epochs     hash: group -> rises when partitions have to be dealt anew
--   :g:G:m      zset: member -> when it is given up  :g:G:o    hash: partition -> the member that owns it
--   :behind    hash: group -> the newest number when it was declared, or when events were lost: behind it
--   :cursors    hash: follower -> read up to here    :readers  zset: g:GROUP, f:FOLLOWER -> its deadline
--   :wake       one entry: the newest number, and how often room was made    :full   a publisher waits for room
local base = KEYS[1]

local function whole(number)
  return string.format('%.0f', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function newest_seq()
  return tonumber(redis.call('GET', base .. ':seq') or '0')
end

-- A server that is out of memory refuses a script's first write that could take some. Reading, acknowledging, trimming
-- and saying that one lives must go on then, or room would never be made: deleting nothing comes first.
local function even_without_memory()
  redis.call('DEL', base .. ':nothing')
end

local function wake()
  local rooms = redis.call('GET', base .. ':rooms') or '0'
  redis.call('XADD', base .. ':wake', 'MAXLEN', 1, '*', 's', whole(newest_seq()), 'r', rooms)
end

local function make_room()
  if redis.call('DEL', base .. ':full') == 1 then
    redis.call('INCR', base .. ':rooms')
    wake()
  end
end

local function stream(key)
  return base .. ':s:' .. key
end

local function deal_anew(group)
  return redis.call('HINCRBY', base .. ':epochs', group, 1)
end

-- At most about `most` entries above `cursor` and up to `last`, of the kinds in ARGV from `first_kind` on: the number
-- up to which all have been given, and [id, kind, event, ...] by partition.
local function entries_between(cursor, last, most, first_kind)
  local wanted = {}
  for place = first_kind, #ARGV do
    wanted[ARGV[place]] = true
  end
  local keys = redis.call('ZRANGEBYSCORE', base .. ':keys', '(' .. whole(cursor), '+inf')
  local share = math.max(1, math.floor(most / math.max(1, #keys)))
  local found, reaches = {}, last
  for _, key in ipairs(keys) do
    local after, up_to = '(' .. whole(cursor) .. '-0', whole(last) .. '-0'
    local entries = redis.call('XRANGE', stream(key), after, up_to, 'COUNT', share)
    for _, entry in ipairs(entries) do
      found[#found + 1] = entry
    end
    if #entries == share then
      reaches = math.min(reaches, tonumber(string.match(entries[share][1], '^%d+')))
    end
  end
  local given = {}
  for _, entry in ipairs(found) do
    local fields = entry[2]
    if wanted[fields[1]] and tonumber(string.match(entry[1], '^%d+')) <= reaches then
      given[#given + 1] = entry[1]
      given[#given + 1] = fields[1]
      given[#given + 1] = fields[2]
    end
  end
  return reaches, given
end

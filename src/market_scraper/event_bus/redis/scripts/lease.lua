-- ARGV: what for, lease, holder, milliseconds, its token or 0, 1 if it leaves something, that, seconds to keep it.
-- Gives {token, what the holder before left or false}; token 0 = it is somebody else's.
even_without_memory()
local holds = base .. ':lease:' .. ARGV[2]
local tokens = holds .. ':token'
local holder = redis.call('GET', holds)
local token = tonumber(redis.call('GET', tokens) or '0')
local own = tonumber(ARGV[5])
local function leave()
  if ARGV[6] == '1' then
    redis.call('SET', holds .. ':left', ARGV[7], 'EX', ARGV[8])
  end
end
local left = false
if ARGV[1] == 'acquire' then
  if holder and holder ~= ARGV[3] then
    return { 0, false }
  end
  token = math.max(token, own) + 1
  left = redis.call('GET', holds .. ':left')
elseif ARGV[1] == 'renew' then
  -- It may have run out while nobody could renew it; it is still ours if nobody took it since.
  if (holder and holder ~= ARGV[3]) or token > own then
    return { 0, false }
  end
  token = own
  leave()
else
  if holder == ARGV[3] or (not holder and token == own) then -- it may just have run out, and nobody took it since
    leave()
    redis.call('DEL', holds)
    wake()
  end
  return { 0, false }
end
redis.call('SET', holds, ARGV[3], 'PX', ARGV[4])
redis.call('SET', tokens, whole(token))
return { token, left }

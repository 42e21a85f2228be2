-- ARGV: first, size of a block of numbers that was reserved for good. Gives the same as open.
local first, size = tonumber(ARGV[1]), tonumber(ARGV[2])
local mark = tonumber(redis.call('GET', base .. ':mark') or '-1')
local newest = newest_seq()
if mark < 0 and first - 1 > newest then
  newest = first - 1
end
redis.call('SET', base .. ':seq', whole(newest))
redis.call('SETNX', base .. ':born', whole(newest + 1))
redis.call('SET', base .. ':mark', whole(math.max(mark, first + size - 1)))
return {newest, tonumber(redis.call('GET', base .. ':born')), tonumber(redis.call('GET', base .. ':mark'))}

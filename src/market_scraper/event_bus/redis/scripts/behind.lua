-- ARGV: group. Gives {the number behind which it begins}: the newest one while the group is not known.
if redis.call('HEXISTS', base .. ':groups', ARGV[1]) == 0 then
  return { newest_seq() }
end
return { tonumber(redis.call('HGET', base .. ':behind', ARGV[1]) or '0') }

-- Gives {newest number, first number of this data or 0, mark or 0}.
return {newest_seq(), tonumber(redis.call('GET', base .. ':born') or '0'), tonumber(redis.call('GET', base .. ':mark') or '0')}

-- ARGV: most events, cursor, 0 or the number to read up to, kinds.
-- Gives {cursor, number to read up to, [id, kind, event, ...]}: what is held of the wanted kinds up to that cursor, by
-- partition. Nobody remembers this reader: what is cut meanwhile, every group has acknowledged.
local cursor, last = tonumber(ARGV[2]), tonumber(ARGV[3])
if last == 0 then
  last = newest_seq()
end
local reaches, given = entries_between(cursor, last, tonumber(ARGV[1]), 4)
return { reaches, last, given }

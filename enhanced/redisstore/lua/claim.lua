-- KEYS[1] head
-- ARGV[1] id of this sidecar, ARGV[2] store id, ARGV[3] highest seq that it has seen
-- Returns OK.
-- A sidecar that was admitted has seen a newer state than is there, which the
-- owner need not have: from now on check.lua refuses what is there to everybody,
-- until the owner has made it anew.

local head = read_head(KEYS[1], ARGV[1])
if head and head.store == ARGV[2] and admits(head, ARGV[1]) and tonumber(head.claimed) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'claimed', ARGV[3])
end
return redis.status_reply('OK')

-- KEYS[1] head
-- ARGV[1..6] as in check.lua, ARGV[7] the new epoch of this sidecar
-- Returns {seq}.
-- After a write without an answer: with a higher epoch in the head, that write
-- is refused as STALE should it still arrive.

redis.call('HSET', KEYS[1], head.own, ARGV[7])
return {head.seq}

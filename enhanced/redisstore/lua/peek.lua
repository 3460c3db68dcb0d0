-- KEYS[1] head, KEYS[2] index
-- ARGV[1] id of this sidecar
-- Returns {present 0|1, schema, store, owner, epoch of the owner, epoch of this sidecar as one that is admitted, seq,
--   number of records, ids that are admitted, seq that one of those has seen}, '' and '0' in a head that is not there.
-- What a join decides on; it checks nothing, as nothing is known yet.

local count = 0
if redis.call('TYPE', KEYS[2]).ok == 'zset' then count = redis.call('ZCARD', KEYS[2]) end
local head = read_head(KEYS[1], ARGV[1])
if not head then return {0, '', '', '', '0', '0', '0', count, '', '0'} end
return {1, head.schema, head.store, head.owner, head.epoch, head.guest, head.seq, count, head.admitted, head.claimed}

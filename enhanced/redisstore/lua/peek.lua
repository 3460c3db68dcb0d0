-- KEYS[1] head, KEYS[2] index
-- Returns {present 0|1, schema, store, owner, epoch, seq, number of records}, '' and '0' in a head that is not there.
-- What a join decides on; it checks nothing, as nothing is known yet.

local count = 0
if redis.call('TYPE', KEYS[2]).ok == 'zset' then count = redis.call('ZCARD', KEYS[2]) end
local head = read_head(KEYS[1])
if not head then return {0, '', '', '', '0', '0', count} end
return {1, head.schema, head.store, head.owner, head.epoch, head.seq, count}

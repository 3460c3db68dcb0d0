-- KEYS[1] head, KEYS[2] index
-- ARGV[1..6] as in check.lua, ARGV[7] and ARGV[8] range as of ZRANGEBYLEX, ARGV[9] most members
-- Returns {seq, member…}, members in byte order.
-- The first step of a scan: the names. The records need their keys declared,
-- so they are read by records.lua; the seq of all replies tells whether both
-- steps saw the same moment.

local reply = {head.seq}
if redis.call('TYPE', KEYS[2]).ok ~= 'zset' then return reply end
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[7], ARGV[8], 'LIMIT', 0, ARGV[9])) do
  reply[#reply + 1] = member
end
return reply

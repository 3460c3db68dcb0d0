-- KEYS[1] head, KEYS[2] index
-- ARGV[1..3] store, owner and epoch that peek.lua showed ('', '', '0' if there was no head),
-- ARGV[4] schema, ARGV[5] store id, ARGV[6] owner, ARGV[7] epoch, ARGV[8] lowest seq
-- Returns the seq of the head. Error reply CONFLICT: the head is not what was shown.
-- Makes a head ours, or new, if nobody was there in between; records stay.

local head = read_head(KEYS[1]) or {store = '', owner = '', epoch = '0', seq = '0'}
if head.store ~= ARGV[1] or head.owner ~= ARGV[2] or head.epoch ~= ARGV[3] then
  return redis.error_reply('CONFLICT the head has changed')
end
local function discard_unless(kind, key)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
discard_unless('hash', KEYS[1])
discard_unless('zset', KEYS[2])
local seq = head.seq
if tonumber(ARGV[8]) > tonumber(seq) then seq = ARGV[8] end
redis.call('HSET', KEYS[1], 'schema', ARGV[4], 'store', ARGV[5], 'owner', ARGV[6], 'epoch', ARGV[7], 'seq', seq)
return seq

-- KEYS[1] head, KEYS[2] index
-- ARGV[1..4] store, owner, epoch and admitted ids that peek.lua showed ('', '', '0', '' if there was no head),
-- ARGV[5] schema, ARGV[6] store id, ARGV[7] owner, ARGV[8] epoch, ARGV[9] lowest seq, ARGV[10] admitted ids,
-- ARGV[11] 1 if the contents become ours, or new, by this: what they hold then is nobody else's
-- Returns the seq of the head. Error reply CONFLICT: the head is not what was shown.
-- Makes a head ours, or new, if nobody was there in between; records stay.

local head = read_head(KEYS[1], ARGV[7]) or {store = '', owner = '', epoch = '0', seq = '0', admitted = '', taken = '0'}
if head.store ~= ARGV[1] or head.owner ~= ARGV[2] or head.epoch ~= ARGV[3] or head.admitted ~= ARGV[4] then
  return redis.error_reply('CONFLICT the head has changed')
end
local function discard_unless(kind, key)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
discard_unless('hash', KEYS[1])
discard_unless('zset', KEYS[2])
local seq, taken = head.seq, head.taken
if tonumber(ARGV[9]) > tonumber(seq) then seq = ARGV[9] end
if ARGV[11] == '1' then taken = seq end
redis.call('HSET', KEYS[1], 'schema', ARGV[5], 'store', ARGV[6], 'owner', ARGV[7], 'epoch', ARGV[8], 'seq', seq,
  'admitted', ARGV[10], 'taken', taken)
return seq

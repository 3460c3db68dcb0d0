-- KEYS[1] mode
-- ARGV[1] epoch, ARGV[2] document
-- Returns OK. Error reply MODE: a document is kept under a higher epoch, or another one under the same.

local found = read_mode(KEYS[1])
local kept, new = tonumber(found.epoch), tonumber(ARGV[1])
if kept > new then return redis.error_reply('MODE it is kept under epoch ' .. found.epoch) end
if kept == new and found.document ~= ARGV[2] and found.document ~= '' then
  return redis.error_reply('MODE another one is kept under the same epoch ' .. found.epoch)
end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'document', ARGV[2])
return redis.status_reply('OK')

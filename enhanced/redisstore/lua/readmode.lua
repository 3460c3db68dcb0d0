-- Shared by mode.lua and setmode.lua: the document under a key. What is no
-- document, or cannot be read, is none, and the next one takes its place.
local function read_mode(key)
  local none = {epoch = '0', document = ''}
  if redis.call('TYPE', key).ok ~= 'hash' then return none end
  local values = redis.call('HMGET', key, 'epoch', 'document')
  if not values[1] or not values[2] or not values[1]:match('^%d+$') then return none end
  return {epoch = values[1], document = values[2]}
end


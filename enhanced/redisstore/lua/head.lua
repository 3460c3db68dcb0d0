-- Shared by every script: what a head and a record look like.
-- Scripts see KEYS[1] as the head of their partition. No script reads a clock,
-- scans keys or touches a key that it was not given.

local HEAD = {'schema', 'store', 'owner', 'epoch', 'seq'}

-- The head, or nil and why there is none. A head that lacks a field is none.
local function read_head(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return nil, 'the head is missing' end
  if kind ~= 'hash' then return nil, 'the head is not a hash' end
  local h, values = {}, redis.call('HMGET', key, unpack(HEAD))
  for i, name in ipairs(HEAD) do
    if not values[i] then return nil, 'the head has no ' .. name end
    h[name] = values[i]
  end
  if not h.epoch:match('^%d+$') or not h.seq:match('^%d+$') then return nil, 'the head is unreadable' end
  return h
end

-- A number as its digits: Lua would print large ones with an exponent.
local function digits(n) return string.format('%.0f', n) end

local RECORD = {'raw', 'version', 'fence', 'acquired_at', 'owner_num', 'owner_host', 'owner_repo'}

-- The record under a key; exists is 0 if there is none. Whatever somebody made
-- of the key by hand is still a record, so that a comparison finds it; then
-- whole is false and the next put writes it anew.
local function read_record(key)
  local values = redis.pcall('HMGET', key, unpack(RECORD))
  if values.err then
    if not values.err:find('WRONGTYPE', 1, true) then redis.call('HMGET', key, unpack(RECORD)) end -- fails again, as itself
    return {exists = 1, raw = '', version = '1', owner_num = ''}
  end
  if not values[1] and not values[2] and redis.call('EXISTS', key) == 0 then
    return {exists = 0, raw = '', version = '0', owner_num = ''}
  end
  local r = {exists = 1, whole = true}
  for i, name in ipairs(RECORD) do
    if not values[i] then r.whole = false end
    r[name] = values[i] or ''
  end
  if not r.version:match('^[1-9]%d*$') or #r.version > 18 then r.version, r.whole = '1', false end
  return r
end

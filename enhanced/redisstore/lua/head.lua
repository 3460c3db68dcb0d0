-- Shared by every script: what a head and a record look like.
-- Scripts see KEYS[1] as the head of their partition. No script reads a clock,
-- scans keys or touches a key that it was not given.

local HEAD = {'schema', 'store', 'owner', 'epoch', 'seq'}

-- The head as the sidecar me sees it, or nil and why there is none. A head that
-- lacks a field is none. mine is the epoch of me and own the field that it is
-- in: each sidecar has its own, so that they do not end each other's.
local function read_head(key, me)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return nil, 'the head is missing' end
  if kind ~= 'hash' then return nil, 'the head is not a hash' end
  local h, values = {}, redis.call('HMGET', key, 'admitted', 'taken', 'epoch:' .. me, 'claimed', unpack(HEAD))
  for i, name in ipairs(HEAD) do
    if not values[i + 4] then return nil, 'the head has no ' .. name end
    h[name] = values[i + 4]
  end
  if not h.epoch:match('^%d+$') or not h.seq:match('^%d+$') then return nil, 'the head is unreadable' end
  local function number(v) return v and v:match('^%d+$') or '0' end
  h.admitted, h.taken, h.guest, h.claimed = values[1] or '', number(values[2]), number(values[3]), number(values[4])
  h.own, h.mine = 'epoch', h.epoch
  if h.owner ~= me then h.own, h.mine = 'epoch:' .. me, h.guest end
  return h
end

-- Whether the owner has admitted a sidecar. Ids have no comma.
local function admits(head, id) return (',' .. head.admitted .. ','):find(',' .. id .. ',', 1, true) ~= nil end

-- A number as its digits: Lua would print large ones with an exponent.
local function digits(n) return string.format('%.0f', n) end

-- What the sidecar by leaves on the record that it writes under a key, so that
-- one which somebody else made or changed is told from it.
local function seal_of(key, by, version, raw)
  return redis.sha1hex(#key .. ':' .. key .. #by .. ':' .. by .. version .. ':' .. raw)
end

local RECORD = {'raw', 'version', 'fence', 'acquired_at', 'owner_num', 'owner_host', 'owner_repo', 'by', 'seal'}

-- The record under a key as the sidecar me sees it; exists is 0 if there is
-- none. Whatever somebody made of the key by hand is still a record, so that a
-- comparison finds it; then whole is false and the next put writes it anew.
-- foreign is 1 unless me wrote it as it stands, or whoever had the store
-- before: up to the seq taken.
local function read_record(key, me, taken)
  local values = redis.pcall('HMGET', key, unpack(RECORD))
  if values.err then
    if not values.err:find('WRONGTYPE', 1, true) then redis.call('HMGET', key, unpack(RECORD)) end -- fails again, as itself
    return {exists = 1, raw = '', version = '1', owner_num = '', foreign = 1}
  end
  if not values[1] and not values[2] and redis.call('EXISTS', key) == 0 then
    return {exists = 0, raw = '', version = '0', owner_num = '', foreign = 0}
  end
  local r = {exists = 1, whole = true, foreign = 1}
  for i, name in ipairs(RECORD) do
    if not values[i] then r.whole = false end
    r[name] = values[i] or ''
  end
  if not r.version:match('^[1-9]%d*$') or #r.version > 18 then r.version, r.whole = '1', false end
  if r.whole and (r.by == me or tonumber(r.version) <= tonumber(taken))
    and r.seal == seal_of(key, r.by, r.version, r.raw) then r.foreign = 0 end
  return r
end

-- KEYS[1] head, KEYS[2] index, KEYS[3…] the record of each change
-- ARGV[1..6] as in check.lua, ARGV[7] id of this operation, ARGV[8] time in milliseconds (for display only),
-- ARGV[9] origin of the records, then ten a change:
--   put|delete, member of the index, condition, its version|bytes|owner number, owner host, owner repo,
--   raw, owner number ('' if it cannot be read), owner host, owner repo
-- Returns {seq, records written or deleted, conditions held 0|1, then five a change:
--   refused 0|1, raw before, version before ('0' if there was no record), foreign before 0|1,
--   version after ('0' if there is none)}.
-- Error reply PARTIAL: a write failed after another had been made; what is stored is not known.
-- All conditions are decided before the first write: all changes or none.

local index, op, now, origin = KEYS[2], ARGV[7], ARGV[8], ARGV[9]
local FIRST, EACH = 10, 10

local function agree(a, b) return a == '' or b == '' or a == b end

local function same_owner(r, num, host, repo)
  return r.owner_num ~= '' and r.owner_num == num and agree(r.owner_host, host) and agree(r.owner_repo, repo)
end

local function holds(c, r)
  if c.condition == 'any' then return true end
  if c.condition == 'absent' then return r.exists == 0 end
  if c.condition == 'version' then return r.exists == 1 and r.version == c.operand end
  if c.condition == 'bytes' then return r.exists == 0 or r.raw == c.operand end
  if c.condition == 'owner' then return r.exists == 0 or same_owner(r, c.operand, c.if_host, c.if_repo) end
  error('unknown condition ' .. c.condition)
end

-- Whether the change would leave everything as it is.
local function idle(c, r)
  local indexed = redis.call('ZSCORE', index, c.member)
  if c.verb == 'delete' then return r.exists == 0 and not indexed end
  return r.exists == 1 and r.foreign == 0 and indexed and r.raw == c.raw
    and r.owner_num == c.num and r.owner_host == c.host and r.owner_repo == c.repo
end

local kind = redis.call('TYPE', index).ok
if kind ~= 'zset' and kind ~= 'none' then return redis.error_reply('STORE_LOST the index is not a sorted set') end

local changes, held, writes, puts, gone = {}, 1, 0, 0, nil
for i = 3, #KEYS do
  local a = FIRST + (i - 3) * EACH
  local c = {
    key = KEYS[i], verb = ARGV[a], member = ARGV[a + 1],
    condition = ARGV[a + 2], operand = ARGV[a + 3], if_host = ARGV[a + 4], if_repo = ARGV[a + 5],
    raw = ARGV[a + 6], num = ARGV[a + 7], host = ARGV[a + 8], repo = ARGV[a + 9],
  }
  c.before = read_record(c.key, me, head.taken)
  c.refused = not holds(c, c.before)
  if c.refused then held = 0 end
  c.idle = idle(c, c.before)
  if not c.idle then
    writes = writes + 1
    if c.verb == 'put' then puts = puts + 1 else gone = c.member end
  end
  changes[#changes + 1] = c
end
if held == 0 then writes = 0 end

-- Redis can refuse the first write of a script (full, read-only, no
-- permission), and then nothing was written; a later one only for want of a
-- permission, and then the caller must not think so.
local dirty, failed = false, nil
local function write(...)
  if not dirty then
    local reply = redis.call(...)
    dirty = true
    return reply
  end
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then failed = reply.err end
  return reply
end

local seq = tonumber(head.seq)
if writes > 0 then
  -- A full Redis refuses HINCRBY as a script's first write but not ZREM:
  -- locks can be released there.
  if puts == 0 then write('ZREM', index, gone) end
  write('HINCRBY', KEYS[1], 'seq', writes)
end
for _, c in ipairs(changes) do
  c.after = '0'
  if held == 1 and c.verb == 'put' and c.idle then c.after = c.before.version end
  if held == 1 and not c.idle then
    seq = seq + 1
    write('DEL', c.key)
    if c.verb == 'delete' then
      write('ZREM', index, c.member)
    else
      c.after = digits(seq)
      local fence, since = c.after, now
      if c.before.whole and same_owner(c.before, c.num, c.host, c.repo) then
        fence, since = c.before.fence, c.before.acquired_at
      end
      write('HSET', c.key, 'raw', c.raw, 'version', c.after, 'fence', fence, 'epoch', head.mine, 'op', op,
        'origin', origin, 'acquired_at', since, 'owner_num', c.num, 'owner_host', c.host, 'owner_repo', c.repo,
        'by', me, 'seal', seal_of(c.key, me, c.after, c.raw))
      write('ZADD', index, 0, c.member)
    end
  end
end
if failed then return redis.error_reply('PARTIAL ' .. failed) end

local reply = {digits(seq), writes, held}
for _, c in ipairs(changes) do
  reply[#reply + 1] = c.refused and 1 or 0
  reply[#reply + 1] = c.before.raw
  reply[#reply + 1] = c.before.version
  reply[#reply + 1] = c.before.foreign
  reply[#reply + 1] = c.after
end
return reply

-- KEYS[1] head, KEYS[2…] records
-- ARGV[1..6] as in check.lua, ARGV[7] bytes of raw after which to stop
-- Returns {seq, raw, version, foreign 0|1, …}: three elements a record, version '0' if there is none, in the
-- order of KEYS, at least one record and as many as fit.
-- The second step of a scan.

local reply, bytes = {head.seq}, 0
for i = 2, #KEYS do
  local record = read_record(KEYS[i], me, head.taken)
  reply[#reply + 1] = record.raw
  reply[#reply + 1] = record.version
  reply[#reply + 1] = record.foreign
  bytes = bytes + #record.raw
  if bytes >= tonumber(ARGV[7]) then break end
end
return reply

-- KEYS[1] head, KEYS[2] record
-- ARGV[1..6] as in check.lua
-- Returns {seq, raw, version, foreign 0|1}; version is '0' if there is no record.
-- One record and the proof that it belongs to the store we know, in one step.

local record = read_record(KEYS[2], me, head.taken)
return {head.seq, record.raw, record.version, record.foreign}

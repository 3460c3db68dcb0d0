-- Follows head.lua in every script but those of a join: refuses to work on
-- contents that the caller does not know.
-- ARGV[1] schema, ARGV[2] store id, ARGV[3] id of this sidecar, ARGV[4] its epoch,
-- ARGV[5] highest epoch that it tried to raise to, ARGV[6] highest seq seen
-- Error replies: STORE_LOST, NOT_OWNER, STALE, SCHEMA.

local me = ARGV[3]
local head, why = read_head(KEYS[1], me)
if not head then return redis.error_reply('STORE_LOST ' .. why) end
if head.schema ~= ARGV[1] then return redis.error_reply('SCHEMA ' .. head.schema) end
if head.owner ~= me and not admits(head, me) then return redis.error_reply('NOT_OWNER ' .. head.owner) end
-- Admitted, and with an epoch that nobody had as one who is: it was the owner, and the store was taken over. That is no loss,
-- after which it would answer from a store of its own.
if head.owner ~= me and tonumber(head.mine) < tonumber(ARGV[4]) then return redis.error_reply('NOT_OWNER ' .. head.owner) end
if head.store ~= ARGV[2] then return redis.error_reply('STORE_LOST another store is there') end
if tonumber(head.mine) > tonumber(ARGV[5]) then return redis.error_reply('STALE ' .. head.mine) end
if tonumber(head.mine) < tonumber(ARGV[4]) then return redis.error_reply('STORE_LOST an older epoch is there') end
if tonumber(head.seq) < math.max(tonumber(ARGV[6]), tonumber(head.claimed)) then return redis.error_reply('STORE_LOST an older state is there') end

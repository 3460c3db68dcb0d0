-- KEYS[1] head
-- ARGV[1..6] as in check.lua, ARGV[7…] ids
-- Returns {seq, id…}: all that are admitted. Error reply NOT_OWNER also for one that is admitted.
-- Lets other sidecars work on the partition beside the owner.

if head.owner ~= me then return redis.error_reply('NOT_OWNER ' .. head.owner) end
local reply = {head.seq}
for id in head.admitted:gmatch('[^,]+') do reply[#reply + 1] = id end
for i = 7, #ARGV do
  if not admits(head, ARGV[i]) then
    reply[#reply + 1] = ARGV[i]
    head.admitted = table.concat(reply, ',', 2)
  end
end
redis.call('HSET', KEYS[1], 'admitted', head.admitted)
return reply

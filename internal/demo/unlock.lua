-- What Atlantis v0.46 and later send when a pull request is planned again.
-- KEYS: the lock. ARGV: the pull request's number.
-- Returns the lock that it has removed; nil if it is another's or there is none.
local value = redis.call("GET", KEYS[1])
if not value then
	return nil
end
local readable, lock = pcall(cjson.decode, value)
if not readable then
	return redis.error_reply("failed to deserialize current lock")
end
if not lock["Pull"] or tonumber(lock["Pull"]["Num"]) ~= tonumber(ARGV[1]) then
	return nil
end
redis.call("DEL", KEYS[1])
return value

-- KEYS[1] mode
-- Returns {epoch, document}, '0' and '' if there is none.
-- It checks no head, which is in another slot: the document is not one of the records.

local found = read_mode(KEYS[1])
return {found.epoch, found.document}

package mutation

// ofLocks are mistakes in who holds a lock: conditions, releases, listings, values.
func ofLocks() []mutation {
	return []mutation{
		{
			name: "a lock of another pull request is taken over",
			file: "locking/condition.go", old: "return err == nil && holder.Same(c.owner)", new: "return err == nil || holder.Same(c.owner)",
			pkg: "./locking",
		},
		{
			name: "a lock whose owner cannot be read is anybody's",
			file: "locking/condition.go", old: "return err == nil && holder.Same(c.owner)", new: "return err != nil || holder.Same(c.owner)",
			pkg: "./locking",
		},
		{
			name: "a record that has changed since it was read still has the version",
			file: "locking/condition.go", old: "return current.Version == c.version", new: "return current.Version >= c.version",
			pkg: "./locking/...",
		},
		{
			name: "in Redis a lock of another pull request is taken over",
			file: "enhanced/redisstore/lua/apply.lua", old: "return r.owner_num ~= '' and r.owner_num == num and", new: "return r.owner_num ~= '' and",
			pkg: "./enhanced",
		},
		{
			name: "in Redis a condition on a version always holds",
			file: "enhanced/redisstore/lua/apply.lua", old: "return r.exists == 1 and r.version == c.operand end", new: "return r.exists == 1 end",
			pkg: "./enhanced",
		},
		{
			name: "in Redis a batch is written in part though one condition fails",
			file: "enhanced/redisstore/lua/apply.lua", old: "if c.refused then held = 0 end", new: "if c.refused and i == 3 then held = 0 end",
			pkg: "./enhanced",
		},
		{
			name: "in Redis a new holder keeps the fence of the last",
			file: "enhanced/redisstore/lua/apply.lua", old: "if c.before.whole and same_owner(c.before, c.num, c.host, c.repo) then", new: "if c.before.whole then",
			pkg: "./enhanced/...",
		},
		{
			name: "in Redis a lock is not listed",
			file: "enhanced/redisstore/lua/apply.lua", old: "      write('ZADD', index, 0, c.member)\n", new: "",
			pkg: "./enhanced",
		},
		{
			name: "a new holder keeps the fence of the last in the embedded store",
			file: "enhanced/embedded/apply.go", old: "if before.sameOwner(value) {", new: "if before.version > 0 {",
			pkg: "./enhanced/...",
		},
		{
			name: "two changes of one transaction share a version in atlantis.db",
			file: "legacy/writer.go", old: "		m.seq++\n", new: "		m.seq = max(m.seq, 1)\n",
			pkg: "./legacy",
		},
		{
			name: "a frozen lock is taken by who gave it up",
			file: "shadow/take.go", old: "pinned[i].If = locking.AtVersion(met[i].Version)", new: "pinned[i].If = changes[i].If",
			pkg: "./shadow", run: "Freez|Frozen",
		},
		{
			name: "a frozen lock is handed over in a script",
			file: "shadow/take.go", old: "return err == nil && holder.Same(next)", new: "return err == nil || holder.Same(next)",
			pkg: "./shadow", run: "Freez|Frozen",
		},
		{
			name: "a freeze does not wait for takes that are under way",
			file: "shadow/freezes.go", old: "if number <= last {", new: "if number < last {",
			pkg: "./shadow", run: "Freez|Frozen",
		},
		{
			name: "a damaged file of freezes is an empty one",
			file: "shadow/freezes.go", old: "if err == nil && (f.list == nil ||", new: "if err != nil {\n\t\treturn f, nil\n\t}\n\tif err == nil && (f.list == nil ||",
			pkg: "./shadow", run: "Freez|Frozen",
		},
		{
			name: "a DEL removes whoever holds the lock now",
			file: "atlantis/del.go", old: "out, err := h.apply(ctx, locking.Delete(key, locking.AtVersion(current.Version)))", new: "out, err := h.apply(ctx, locking.Delete(key, locking.Any()))",
			pkg: "./atlantis",
		},
		{
			name: "a DEL of a command lock that is sent again removes the next holder's",
			file: "atlantis/del.go", old: "out, err = h.apply(ctx, locking.Delete(key, locking.AtVersion(current.Version)))", new: "out, err = h.apply(ctx, locking.Delete(key, locking.Any()))",
			pkg: "./atlantis",
		},
		{
			name: "a lock is released before those have read it who were told of it",
			file: "atlantis/listings.go", old: "		return l.begun > 0 || listed && u.read < u.listed+own\n", new: "		_, _ = u, listed\n		return false\n",
			pkg: "./atlantis",
		},
		{
			name: "a late DEL removes the lock of the next holder",
			file: "atlantis/del.go", old: "if known && h.seen.stale(meant, current) {", new: "if false && known && h.seen.stale(meant, current) {",
			pkg: "./atlantis",
		},
		{
			name: "a DEL that waits means what others were shown meanwhile",
			file: "atlantis/del.go", old: "if known && h.seen.stale(meant, current) {", new: "if meant, known = h.seen.last(key); known && h.seen.stale(meant, current) {",
			pkg: "./atlantis",
		},
		{
			name: "a SET takes a lock that somebody else holds",
			file: "atlantis/set.go", old: "	return locking.OwnedBy(view.Owner), view, err\n", new: "	return locking.Any(), view, err\n",
			pkg: "./atlantis",
		},
		{
			name: "a command lock is taken twice",
			file: "atlantis/set.go", old: "return locking.SameBytes(value), Lock{}, nil", new: "return locking.Any(), Lock{}, nil",
			pkg: "./atlantis",
		},
		{
			name: "a SET with an expiry is taken for one without",
			file: "atlantis/set.go", old: "			return o, errExpiry\n", new: "			return o, \"\"\n",
			pkg: "./atlantis",
		},
		{
			name: "pull statuses of a host named pr… are listed as locks",
			file: "atlantis/scan.go", old: "if k.Kind() == locking.ProjectLock {", new: "if k.Kind() != locking.CommandLock {",
			pkg: "./atlantis",
		},
		{
			name: "closing a pull request unlocks acme/infra-prod with acme/infra",
			file: "atlantis/scan.go", old: "err == nil && view.Repo == repo {", new: "err == nil && view.Repo != \"\" {",
			pkg: "./atlantis",
		},
		{
			name: "the route of a record depends on its path",
			file: "locking/key.go", old: "		return repo[:first+1+second]\n", new: "		return repo\n",
			pkg: "./locking/...",
		},
		{
			name: "a bulk string one byte short is read on into the next command",
			file: "internal/resp/reader.go", old: "		if got != want {\n			return errBulkEnd\n		}\n", new: "		_ = want\n		_ = got\n",
			pkg: "./internal/resp",
		},
		{
			name: "a claim of 4 GB is believed",
			file: "internal/resp/reader.go", old: "	if !r.budget.take(r.share, more, r.limits.proven) {\n		return errOverBudget\n	}\n", new: "",
			pkg: "./internal/resp",
		},
	}
}

package mutation

// ofDurability are mistakes in what is on the disk when somebody is told OK, and in what a start believes.
func ofDurability() []mutation {
	return []mutation{
		{
			name: "a commit does not reach the disk before the OK",
			file: "internal/boltfile/open.go", old: "&bolt.Options{\n", new: "&bolt.Options{\n		NoSync: true,\n",
			pkg: "./test/e2e", run: "TestFailingFsyncIsNeverAnsweredWithOK", tags: "e2e",
		},
		{
			name: "a read shows a commit that is not synced yet",
			file: "legacy/read.go", old: "if err == nil && f.touches(key) {", new: "if false {",
			pkg: "./legacy",
		},
		{
			name: "a listing shows a commit that is not synced yet",
			file: "legacy/read.go", old: "if err == nil && f.touchesAny(match) {", new: "if false {",
			pkg: "./legacy",
		},
		{
			name: "a commit that failed is taken for one that was made",
			file: "legacy/writer.go", old: "	if s.meta.txid != next.txid {\n		s.land(f, undone, nil)", new: "	if false {\n		s.land(f, undone, nil)",
			pkg: "./legacy",
		},
		{
			name: "what another program wrote to atlantis.db is not noticed while it is open",
			file: "legacy/writer.go", old: "if err == nil && uint64(tx.ID()) != s.meta.txid+1 {", new: "if false {",
			pkg: "./legacy",
		},
		{
			name: "legacy is retired though a lock was taken after the backup",
			file: "legacy/retire.go", old: "if m.seq != seq {", new: "if m.seq < seq {",
			pkg: "./legacy",
		},
		{
			name: "a file is replaced before its content is synced",
			file: "internal/durable/durable.go", old: "err = errors.Join(err, f.Sync(), f.Close()); err == nil {\n		err = os.Rename", new: "err = errors.Join(err, f.Close()); err == nil {\n		err = os.Rename",
			pkg: "./test/e2e", run: "TestSmallFilesReachTheDiskInOrder", tags: "e2e",
		},
		{
			name: "a mark that was taken away comes back after a crash",
			file: "internal/durable/durable.go", old: "	err := SyncDir(filepath.Dir(path))\n	if errors.Is", new: "	var err error\n	if errors.Is",
			pkg: "./test/e2e", run: "TestSmallFilesReachTheDiskInOrder", tags: "e2e",
		},
		{
			name: "the embedded store says OK before its commit",
			file: "enhanced/embedded/apply.go", old: "	return outcomes, s.landing, nil\n", new: "	return outcomes, nil, nil\n",
			pkg: "./enhanced/...",
		},
		{
			name: "what was answered is not shown when the embedded store is to turn durable",
			file: "enhanced/embedded/mode.go", old: "		if s.tx != nil && durable {", new: "		if false {",
			pkg: "./enhanced/embedded", run: "TestWhatWasAnsweredIsShownBeforeSetDurableIsDurable",
		},
		{
			name: "what was answered is not shown to who waited for the turn while the embedded store turns durable",
			file: "enhanced/embedded/read.go", old: "		case rests == nil || !rests.answered:", new: "		case true:",
			pkg: "./enhanced/embedded", run: "TestWhatWasAnsweredIsShownBeforeSetDurableIsDurable",
		},
		{
			name: "what was answered is not shown during the commit that makes it durable",
			file: "enhanced/embedded/commit.go", old: "	if !s.landing.answered {", new: "	if true {",
			pkg: "./enhanced/embedded", run: "TestWhatWasAnsweredIsShownBeforeSetDurableIsDurable",
		},
		{
			name: "what the embedded store has not committed is remembered, so that a crash looks like an older file",
			file: "enhanced/embedded/store.go", old: "	if durable {\n", new: "	if true {\n",
			pkg: "./enhanced/embedded", run: "TestFollowerLosesItsLastInterval|TestFailedCommitBehindIsNotRemembered",
		},
		{
			name: "a script works on a Redis that was emptied",
			file: "enhanced/redisstore/lua/check.lua", old: "if head.store ~= ARGV[2] then", new: "if false then",
			pkg: "./enhanced/...",
		},
		{
			name: "a script works on an older state of Redis",
			file: "enhanced/redisstore/lua/check.lua", old: "if tonumber(head.seq) < math.max(", new: "if tonumber(head.seq) < 0 * math.max(",
			pkg: "./enhanced/...",
		},
		{
			name: "a script works on a store that another sidecar owns",
			file: "enhanced/redisstore/lua/check.lua", old: "if head.owner ~= me and not admits(head, me) then", new: "if false then",
			pkg: "./enhanced/...",
		},
		{
			name: "contents with a lower epoch that count as many writes are taken for the known ones",
			file: "enhanced/redisstore/forgotten.go", old: "case epoch < asked.since:", new: "case false:",
			pkg: "./enhanced/redisstore", run: "TestForgottenEpochsAreRaisedAgain",
		},
		{
			name: "forgotten epochs are raised again though somebody else writes to the store",
			file: "enhanced/redisstore/forgotten.go", old: "if !s.sole.Load() {", new: "if false {",
			pkg: "./enhanced/redisstore", run: "TestForgottenEpochsAreRaisedAgain",
		},
		{
			name: "a write from before the last epoch still lands",
			file: "enhanced/redisstore/lua/check.lua", old: "if tonumber(head.mine) > tonumber(ARGV[5]) then", new: "if false then",
			pkg: "./enhanced/...",
		},
		{
			name: "a write without an answer is taken for one that was refused",
			file: "enhanced/redisstore/apply.go", old: "		p.unsettle(asked) // before", new: "		_ = asked // before",
			pkg: "./enhanced/redisstore",
		},
		{
			name: "no comparison at all is a clean verdict",
			file: "compare/verdict.go", old: "	case err != nil || compared == 0:", new: "	case err != nil:",
			pkg: "./compare",
		},
		{
			name: "a comparison that was cut short is a clean verdict",
			file: "compare/verdict.go", old: "	case err != nil || compared == 0:", new: "	case compared == 0:",
			pkg: "./compare",
		},
		{
			name: "a start that took long to join has no time left to read the mode",
			file: "internal/cutover/start.go", old: "reading, done := context.WithTimeout(ctx, patience)", new: "reading, done := context.WithTimeout(bounded, patience)",
			pkg: "./internal/cutover", run: "TestASlowStoreRefusesNoStart",
		},
		{
			name: "a whole older data directory counts as a standby",
			file: "internal/cutover/start.go", old: "if (f.Clean || k.unasked.is.Load() && !state.TookOver) && state.Ahead && f.Sole {", new: "if false {",
			pkg: "./internal/cutover", run: "TestAStartOnAnOlderDataDirectory",
		},
		{
			name: "an older enhanced.db is taken for the one that failed",
			file: "enhanced/embedded/join.go", old: "hs[0].owner != s.owner || s.whyLost(hs, found) != \"\" || s.dropped || s.lacks(hs)) {", new: "hs[0].owner != s.owner) {",
			pkg: "./enhanced/embedded", run: "TestProbeOpensAFileAnewThatFailed",
		},
		{
			name: "what a failed commit of the follower dropped is not made equal",
			file: "internal/reconcile/join.go", old: "\t\t\treturn dropped\n", new: "\t\t\treturn \"\"\n",
			pkg: "./internal/reconcile", run: "TestWhatAStoreHasDroppedIsMadeEqual",
		},
	}
}

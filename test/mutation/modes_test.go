package mutation

// ofModes are mistakes in who answers, in what follows, and on the way between.
func ofModes() []mutation {
	return []mutation{
		{
			name: "in primary a GET is answered by the follower",
			file: "shadow/router.go", old: "	if a.Authority(key.Route()) == EnhancedSide {\n		return r.getEnhanced", new: "	if a.Authority(key.Route()) != EnhancedSide {\n		return r.getEnhanced",
			pkg: "./shadow",
		},
		{
			name: "in primary OK comes before legacy has the change",
			file: "shadow/ask.go", old: "	if !waits || !r.Standby.waits() {", new: "	if true || !waits || !r.Standby.waits() {",
			pkg: "./shadow",
		},
		{
			name: "a flip moves a record of which nobody knows what the enhanced store did to it",
			file: "internal/cutover/barrier.go", old: "	if k.Router.InDoubt() {", new: "	if false {",
			pkg: "./internal/cutover", run: "TestAFlipWaitsForWhatIsInDoubt",
		},
		{
			name: "a write goes on alone and leaves the mark that says legacy is whole",
			file: "shadow/standby.go", old: "if err := s.mark.TakeAway(); err != nil {", new: "if err := error(nil); err != nil {",
			pkg: "./shadow",
		},
		{
			name: "a write does not wait for legacy after another one could not remove the mark",
			file: "shadow/standby.go", old: "	return s.on && (s.waiting || s.marked)\n", new: "	return s.on && s.waiting\n",
			pkg: "./shadow",
		},
		{
			name: "a release is followed whatever somebody else has made of the lock",
			file: "shadow/work.go", old: "			c.If = locking.SameBytes(outcomes[i].Before.Value)\n", new: "			c.If = locking.Any()\n",
			pkg: "./shadow",
		},
		{
			name: "a write whose mark cannot be removed is answered OK",
			file: "shadow/ask.go", old: "	if err := r.Standby.Alone(why); err != nil {\n		r.ToLegacy.lost(keys)", new: "	if err := r.Standby.Alone(why); err != nil && false {\n		r.ToLegacy.lost(keys)",
			pkg: "./shadow",
		},
		{
			name: "a key in doubt is read as if nothing had happened",
			file: "shadow/ask.go", old: "	if r.inDoubt(key) {\n		return locking.Record{}, errInDoubt\n	}\n", new: "",
			pkg: "./shadow",
		},
		{
			name: "a key in doubt is written as if nothing had happened",
			file: "shadow/ask.go", old: "	if slices.ContainsFunc(keys, r.inDoubt) {\n		return nil, errInDoubt\n	}\n", new: "",
			pkg: "./shadow",
		},
		{
			name: "the follower runs changes of one key in any order",
			file: "shadow/ask.go", old: "	release, err := r.order.hold(ctx, keys...)\n	if err != nil {\n		return nil, err\n	}\n	defer release()\n	if refused, err", new: "	if refused, err",
			pkg: "./shadow",
		},
		{
			name: "a change of an unknown result leaves its key clean",
			file: "shadow/ask.go", old: "		r.lost(keys) // an error may", new: "		_ = keys // an error may",
			pkg: "./shadow",
		},
		{
			name: "a change that the follower missed leaves its key clean",
			file: "shadow/work.go", old: "	if t.kind == taskChange || t.kind == taskEqualize {\n		f.miss(t.keys, MissedError)\n	}\n", new: "",
			pkg: "./shadow",
		},
		{
			name: "a change that rests on one that was missed is made all the same",
			file: "shadow/dirt.go", old: "	return position < d.floor || ok && position < s.until\n", new: "	_, _ = s, ok\n	return false\n",
			pkg: "./shadow",
		},
		{
			name: "who waits for what is queued does not wait for what took its place",
			file: "shadow/queue.go", old: "return t.first() <= position })", new: "return t.position <= position })",
			pkg: "./shadow", run: "TestWhoDrainsWaitsForWhatOvertook",
		},
		{
			name: "legacy is said to be whole before it has what took the place of an answered change",
			file: "shadow/overtake.go", old: "			if t.since == 0 || other.first() < t.since {", new: "			if false {",
			pkg: "./shadow", run: "TestTheMarkWaitsForWhatOvertook",
		},
		{
			name: "what overtakes twice stands for the last that it overtook alone",
			file: "shadow/overtake.go", old: "				t.since = other.first()\n", new: "				t.since = other.position\n",
			pkg: "./shadow", run: "TestWhoDrainsWaitsForWhatOvertook",
		},
		{
			name: "a change of two keys takes the place of what waits",
			file: "shadow/overtake.go", old: " || len(queue) == 0 || len(keys) > 1 {", new: " || len(queue) == 0 {",
			pkg: "./shadow", run: "TestAChangeOfTwoKeysOvertakesNothing",
		},
		{
			name: "a key that a batch lost counts as waiting for ever",
			file: "shadow/work.go", old: "		v = f.perform(ctx, t.without(void))\n", new: "		*t = *t.without(void)\n		v = f.perform(ctx, t)\n",
			pkg: "./shadow", run: "TestABatchThatLostAKeyIsCountedOut",
		},
		{
			name: "a legacy that hangs holds commands while doubt is settled",
			file: "shadow/doubt.go", old: "context.WithTimeout(ctx, settleLimit)", new: "context.WithTimeout(ctx, 6*settleLimit)",
			pkg: "./internal/cutover", run: "TestALegacyThatHangsHoldsNobodyWhileDoubtIsSettled",
		},
		{
			name: "a difference is seen and not recorded",
			file: "shadow/work.go", old: "	f.ledger.Diverged(f.divergence(t, key, kind, authority, follower, took, \"\"))\n	f.mu.Lock()", new: "	f.mu.Lock()",
			pkg: "./shadow",
		},
		{
			name: "a version that was read in one store holds in the other",
			file: "shadow/tag.go", old: "if version>>versionBits == epoch%(1<<epochBits) {", new: "if true {",
			pkg: "./shadow",
		},
		{
			name: "commands that are inside are not waited for before a switch",
			file: "shadow/gate.go", old: "		if route == everyRoute || g.moves(route) {\n			n += commands", new: "		if route == everyRoute {\n			n += commands",
			pkg: "./shadow",
		},
		{
			name: "a route that moves is not held",
			file: "shadow/gate.go", old: "		if route == everyRoute || g.moves(route) {\n			return true", new: "		if route == everyRoute {\n			return true",
			pkg: "./shadow",
		},
		{
			name: "while nobody knows who answers, a store answers",
			file: "shadow/gate.go", old: "	if errors.As(g.down, &unsure) {", new: "	if false && errors.As(g.down, &unsure) {",
			pkg: "./shadow", run: "TestWhileNobodyKnowsWhoAnswersNoStoreDoes",
		},
		{
			name: "a conflict is decided for a holder who was not listed",
			file: "shadow/resolve.go", old: "	if cmp.Or(now.Holder, now.Digest) == cmp.Or(was.Holder, was.Digest) || ", new: "	if _ = cmp.Or(was.Holder); true || ",
			pkg: "./shadow",
		},
		{
			name: "the fallback is given up to admit a sidecar to a store that is away",
			file: "internal/cutover/admit.go", old: "if err := k.probe(ctx); err != nil {", new: "if err := error(nil); err != nil {",
			pkg: "./internal/cutover", run: "TestAdmittingIsRefused",
		},
		{
			name: "a conflict is forgotten and its lock granted",
			file: "shadow/conflicts.go", old: "	if !slices.ContainsFunc(keysOf(changes), r.Conflicts.Has) {\n		return nil, nil", new: "	if true {\n		return nil, nil",
			pkg: "./shadow",
		},
		{
			name: "legacy takes over though other sidecars use the store",
			file: "internal/cutover/mayleave.go", old: "	case a.Shared:\n		return \"other sidecars use the store too\", false\n", new: "",
			pkg: "./internal/cutover", run: "TestWithoutASafeFallbackCommandsAreRefused",
		},
		{
			name: "legacy takes over though it lacks answered changes",
			file: "internal/cutover/mayleave.go", old: "	case !whole:\n		return notWhole, false\n", new: "",
			pkg: "./internal/cutover", run: "TestWithoutASafeFallbackCommandsAreRefused",
		},
		{
			name: "a flip happens though the stores are not in step",
			file: "internal/cutover/barrier.go", old: "if b := f.Backlog(); !b.InStep() {", new: "if b := f.Backlog(); false {",
			pkg: "./internal/cutover", run: "TestAFlipWantsBothStoresInStepUnderTheHold",
		},
		{
			name: "a flip that has held commands for too long asks a slow disk for one more commit",
			file: "internal/cutover/barrier.go", old: "	if err := ctx.Err(); err != nil { // on such a disk", new: "	if err := ctx.Err(); false { // on such a disk",
			pkg: "./internal/cutover", run: "TestAFlipGivesUpBeforeItAsksASlowDiskAgain",
		},
		{
			name: "a store that fails now and then is filled from the beginning each time",
			file: "internal/reconcile/equalize.go", old: "keys[i] = r.Router.Follower(side).Unequal(part)", new: "keys[i] = part",
			pkg: "./internal/reconcile", run: "TestAStoreThatFailsNowAndThenIsFilled",
		},
		{
			name: "who answers is switched before it is kept",
			file: "internal/cutover/barrier.go", old: "	if err := k.keepLocally(ctx, p.to); err != nil {\n		return err\n	}\n	failpoint.Hit(\"flip-kept\")\n	k.Router.Assign(p.to, nil)", new: "	k.Router.Assign(p.to, nil)\n	if err := k.keepLocally(ctx, p.to); err != nil {\n		return err\n	}\n	failpoint.Hit(\"flip-kept\")",
			pkg: "./internal/cutover", run: "TestAModeThatIsNotKept",
		},
		{
			name: "a fallback is not kept: a restart does not know of it",
			file: "internal/cutover/leave.go", old: "		if err := k.keepLocally(ctx, next); err != nil {\n			return \"\", err\n		}\n		k.Router.ToLegacy.Forget()", new: "		k.Router.ToLegacy.Forget()",
			pkg: "./internal/cutover", run: "TestLegacyTakesOver$",
		},
		{
			name: "a store that was lost is believed again",
			file: "internal/cutover/resume.go", old: "	case last.FallenBack && f.Joined && f.StoreID != last.StoreID:\n		return f.fromLegacy(last, now, \"the enhanced store is not the one it was\")\n", new: "",
			pkg: "./internal/cutover", run: "TestAStartGoesOnFromWhatItFinds",
		},
		{
			name: "a start on a wrong store forgets the right one",
			file: "internal/reconcile/memory.go", old: "a.Epoch == 0 || a.StoreID != \"\" && a.StoreID != r.storeID", new: "a.Epoch > 1<<40",
			pkg: "./test/acceptance", run: "TestAStartOnAnotherStoreDoesNotForgetTheRightOne",
		},
		{
			name: "a first start above shadow on the store of another sidecar advises shadow",
			file: "internal/cutover/resume.go", old: "	case errors.Is(f.JoinErr, locking.ErrNotOwner): // most likely", new: "	case false: // most likely",
			pkg: "./internal/cutover", run: "TestAStartGoesOnFromWhatItFinds",
		},
		{
			name: "a copy of atlantis.db that was put back is believed",
			file: "legacy/putback.go", old: "if err != nil || !s.sighted || s.PutBack() != \"\" {", new: "if err != nil {",
			pkg: "./legacy",
		},
		{
			name: "a start believes an atlantis.db that is older than the mode in the store",
			file: "internal/cutover/resume.go", old: "	case remote.Epoch <= local.Epoch:\n		return local, false, nil\n", new: "	case local.Epoch > 0:\n		return local, false, nil\n",
			pkg: "./internal/cutover", run: "TestAStartGoesOnFromWhatItFinds",
		},
	}
}

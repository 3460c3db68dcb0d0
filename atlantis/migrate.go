package atlantis

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// isBootScan reports whether this is how an Atlantis of v0.40 or later boots:
// go-redis's handshake, PING, and then, as the first data command, the listing
// of all locks whose keys it is about to bring into its present format.
func isBootScan(prelude []string, args [][]byte) bool {
	if len(prelude) < 2 || prelude[0] != "hello" || prelude[len(prelude)-1] != "ping" {
		return false
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = string(a)
	}
	words[0] = strings.ToLower(words[0])
	if len(words) == 4 {
		words[2] = strings.ToLower(words[2])
	}
	return slices.Equal(words, []string{"keys", "pr/*"}) || slices.Equal(words, []string{"scan", "0", "match", "pr/*"})
}

// renameOldKeys gives every lock whose JSON proves that its key is in the
// format before v0.40, pr/{repo}/{path}/{workspace}, the key of the format
// since, which has the project's name behind it, if an Atlantis of v0.40 or later
// has booted and that was not done yet. Atlantis's own migration
// tells the formats apart by counting slashes and skips paths of more than one
// segment; such a lock would not be found any more, and another pull request
// could take it. If Atlantis is told of an error it goes on all the same, and
// asks no more: the next listing tries again.
func (h *Handler) renameOldKeys(ctx context.Context) {
	if !h.unrenamed.Load() {
		return
	}
	ctx = asOurOwn(ctx)
	all, err := h.records(ctx, locksUnder+"*")
	if err != nil {
		h.log.Error("old lock keys not renamed", "error", err)
		return
	}
	renamed, failed := 0, false
	for _, r := range all {
		to, ok := PresentKey(r)
		if !ok {
			continue
		}
		gone, err := h.rename(ctx, r, to)
		if err != nil {
			h.log.Error("old lock key not renamed", "error", err)
			failed = true
		}
		if gone {
			renamed++
		}
	}
	if renamed > 0 {
		h.log.Info("lock keys from before Atlantis v0.40 renamed", "renamed", renamed)
	}
	if !failed {
		h.unrenamed.Store(false)
	}
}

// maxNameParts is how many segments of a key are tried as the name of a project,
// in which Atlantis permits slashes.
const maxNameParts = 16

// renameLate gives the lock that is asked for by its present key that key, if it
// should have it since a boot.
func (h *Handler) renameLate(ctx context.Context, key locking.Key) error {
	if !h.unrenamed.Load() || key.Kind() != locking.ProjectLock {
		return nil
	}
	ctx = asOurOwn(ctx)
	name := key.String()
	for range maxNameParts {
		name = name[:strings.LastIndexByte(name, '/')] // it begins with one
		old, err := locking.ParseKey(name)
		if err != nil {
			return nil
		}
		r, err := h.store.Get(ctx, old)
		if err != nil && !errors.Is(err, locking.ErrNotFound) {
			return err
		}
		if to, ok := PresentKey(r); ok && to == key {
			_, err := h.rename(ctx, r, to)
			return err
		}
	}
	return nil
}

// asOurOwn makes what is done for a command our own work, which is never frozen: no
// lock gets another holder by it.
func asOurOwn(ctx context.Context) context.Context { return locking.WithCall(ctx, locking.Call{}) }

// PresentKey returns the key of the present format for a lock whose key is in
// the one before v0.40, as its JSON proves, and false for any other record.
func PresentKey(r locking.Record) (locking.Key, bool) {
	view, err := ParseLock(r.Value)
	if err != nil || view.Repo == "" || view.Workspace == "" {
		return locking.Key{}, false
	}
	old := locksUnder + view.Repo + "/" + view.Path + "/" + view.Workspace
	if r.Key.String() != old {
		return locking.Key{}, false
	}
	to, err := locking.ParseKey(old + "/" + view.Project)
	return to, err == nil
}

// rename moves a record to a key that nobody holds, in one transaction. If the
// same pull request holds that key already, an earlier migration got half-way,
// and the old record goes. If another one does, both stay: neither may lose.
// It reports whether the old key is gone.
func (h *Handler) rename(ctx context.Context, r locking.Record, to locking.Key) (bool, error) {
	out, err := h.store.Apply(ctx, []locking.Change{
		locking.Delete(r.Key, locking.AtVersion(r.Version)),
		locking.Put(to, r.Value, locking.Absent()),
	})
	if err == nil && !out[0].Applied && !out[1].Refused { // it was begun anew, and another store answers, or has taken it back
		now, err := h.store.Get(ctx, r.Key)
		if err == nil && bytes.Equal(now.Value, r.Value) && now.Version != r.Version {
			return h.rename(ctx, now, to)
		}
		if errors.Is(err, locking.ErrNotFound) {
			err = nil
		}
		return false, err
	}
	if err != nil || !out[1].Refused {
		return err == nil && out[0].Applied, err
	}
	holder, err := locking.OwnerOf(r.Value)
	if err != nil {
		return false, err
	}
	if !locking.OwnedBy(holder).Holds(out[1].Before) {
		h.log.Warn("old lock kept: another pull request holds its new key", "held_by", strings.TrimPrefix(heldBy(out[1].Before), "LOCKED held by "))
		return false, nil
	}
	one, err := h.apply(ctx, locking.Delete(r.Key, locking.AtVersion(r.Version)))
	return one.Applied, err
}

package atlantis

import (
	"context"
	"strconv"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	allLocks   = "pr*" // how Atlantis asks for all locks, and gets hosts named pr… too
	locksUnder = "pr/"
)

// scan answers SCAN with one page that holds the whole listing.
func (h *Handler) scan(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opScan)
	cursor, err := strconv.ParseUint("0"+string(args[1]), 10, 64) // to Redis too, none is 0
	if err != nil {
		op.end(resultRefused)
		w.Error(errCursor)
		return
	}
	pattern, strs, problem := parseScanOptions(args[2:])
	if problem != "" {
		op.end(resultRefused)
		w.Error(problem)
		return
	}
	var keys []locking.Key
	if cursor == 0 && strs { // we give no cursor out but 0
		if keys, err = h.list(ctx, pattern); err != nil {
			op.fail(w, err)
			return
		}
	}
	op.end(resultOK)
	w.Array(2)
	w.BulkString("0")
	writeKeys(w, keys)
}

func parseScanOptions(words [][]byte) (pattern string, strs bool, problem string) {
	pattern, strs = string(locking.All), true
	for ; len(words) >= 2; words = words[2:] {
		value := string(words[1])
		switch strings.ToLower(string(words[0])) {
		case "match":
			pattern = value
		case "count":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return "", false, errNotInteger
			}
			if n < 1 {
				return "", false, errSyntax
			}
		case "type":
			strs = strings.EqualFold(value, "string")
		default:
			return "", false, errSyntax
		}
	}
	if len(words) != 0 {
		return "", false, errSyntax
	}
	return pattern, strs, ""
}

// keys answers KEYS.
func (h *Handler) keys(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opScan)
	keys, err := h.list(ctx, string(args[1]))
	if err != nil {
		op.fail(w, err)
		return
	}
	op.end(resultOK)
	writeKeys(w, keys)
}

// dbsize answers DBSIZE.
func (h *Handler) dbsize(ctx context.Context, _ [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opScan)
	all, err := h.records(ctx, locking.All)
	if err != nil {
		op.fail(w, err)
		return
	}
	op.end(resultOK)
	w.Int(int64(len(all)))
}

func writeKeys(w *resp.Writer, keys []locking.Key) {
	w.Array(len(keys))
	for _, k := range keys {
		w.BulkString(k.String())
	}
}

// list returns the keys that a pattern means. Two patterns mean less than
// Redis's glob would match, because Atlantis means less by them: "pr*" is all
// project locks, and "pr/{repo}*" is the locks of exactly that repository.
func (h *Handler) list(ctx context.Context, pattern string) (keys []locking.Key, err error) {
	h.renameOldKeys(ctx)
	end := h.listed.begin(ctx)
	defer func() { end(keys) }()
	if pattern == allLocks {
		return h.listLocks(ctx)
	}
	repo, ok := strings.CutPrefix(pattern, locksUnder)
	if ok {
		repo, ok = strings.CutSuffix(repo, "*")
	}
	// No repository's name ends with a slash: somebody looks around by hand.
	if ok && repo != "" && !strings.HasSuffix(repo, "/") {
		return h.listRepo(ctx, pattern, repo)
	}
	return h.glob(ctx, pattern)
}

func (h *Handler) glob(ctx context.Context, pattern string) ([]locking.Key, error) {
	found, err := h.records(ctx, locking.Pattern(pattern))
	keys := make([]locking.Key, len(found))
	for i, r := range found {
		keys[i] = r.Key
	}
	return keys, err
}

// listLocks lists every project lock, and counts the pull statuses that the
// glob would have listed as locks.
func (h *Handler) listLocks(ctx context.Context) ([]locking.Key, error) {
	all, err := h.glob(ctx, allLocks)
	locks := all[:0]
	for _, k := range all {
		if k.Kind() == locking.ProjectLock {
			locks = append(locks, k)
		}
	}
	h.metrics.prevent(faultGhostListing, len(all)-len(locks))
	return locks, err
}

// listRepo lists the locks whose JSON names exactly this repository, and
// counts the others that the glob would have listed. A text that is no
// repository's name, having no slash or a glob in it, is a glob unless some
// lock says that it is a name.
func (h *Handler) listRepo(ctx context.Context, pattern, repo string) ([]locking.Key, error) {
	under, err := h.records(ctx, locking.Literal(locksUnder+repo)+"*")
	if err != nil {
		return nil, err
	}
	var keys []locking.Key
	for _, r := range under {
		if view, err := ParseLock(r.Value); err == nil && view.Repo == repo {
			keys = append(keys, r.Key)
		}
	}
	isName := strings.Contains(repo, "/") && !strings.ContainsAny(repo, locking.GlobChars)
	if len(keys) == 0 && !isName {
		return h.glob(ctx, pattern)
	}
	h.metrics.prevent(faultPrefixUnlock, len(under)-len(keys))
	return keys, nil
}

// records reads a whole scan, so that an error is known before anything is
// answered.
func (h *Handler) records(ctx context.Context, match locking.Pattern) ([]locking.Record, error) {
	var found []locking.Record
	for r, err := range h.store.Scan(ctx, match) {
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

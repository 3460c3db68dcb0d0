package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const manyRecords = 100_000

// manyLocks makes an atlantis.db with that many records, locks and pull statuses.
func manyLocks(t *testing.T, records int) (path string) {
	t.Helper()
	const repo, dir = "acme-000/infra", "envs/000000"
	template := lockJSON(repo, dir, 4711)
	keys, values := map[string][]string{}, map[string]string{}
	for i := range records {
		itsRepo, itsDir := fmt.Sprintf("acme-%03d/infra", i%997), fmt.Sprintf("envs/%06d", i)
		bucket, key := "runLocks", itsRepo+"/"+itsDir+"/default/"
		if i%4 == 0 {
			bucket, key = "pulls", fmt.Sprintf("github.com::%s::%d", itsRepo, i)
		}
		keys[bucket] = append(keys[bucket], key)
		values[key] = strings.NewReplacer(repo, itsRepo, dir, itsDir, "4711", strconv.Itoa(i)).Replace(template)
	}
	path = filepath.Join(t.TempDir(), "atlantis.db")
	db := sidecar.OpenAtlantisDB(t, path)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		for bucket, names := range keys {
			slices.Sort(names) // BoltDB is much faster so
			for _, key := range names {
				if err := tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(values[key])); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	return path
}

// A hundred thousand records are brought to the enhanced store with progress in status, metric and log; a kill -9 in
// the middle loses nothing, and the next start is done within the time that is promised for a follower that is back.
func TestBackfillOfAHundredThousandRecordsSurvivesAKillNine(t *testing.T) {
	sidecar.Binary(t) // builds it, which takes its time
	content, err := os.ReadFile(manyLocks(t, manyRecords))
	require.NoError(t, err)
	eachBackend(t, func(t *testing.T, redisAddr string, records func(*testing.T, *sidecar.Process) map[string]string) {
		dir := filepath.Join(t.TempDir(), "data")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "atlantis.db"), content, 0o600))
		began := time.Now()
		p := shadowOn(t, dir, redisAddr)
		var seen status
		require.Eventually(t, func() bool {
			seen = statusOf(t, p)
			return seen.Backfill.State == "running" && seen.Backfill.Done > manyRecords/5
		}, caughtUp, pollEvery)
		require.Less(t, seen.Backfill.Done, manyRecords, "the kill must come in the middle")
		require.Equal(t, manyRecords, seen.Backfill.Total)
		t.Logf("killed at %d of %d, %s after the start", seen.Backfill.Done, seen.Backfill.Total, time.Since(began).Round(time.Millisecond))
		p.Kill9()
		<-p.Ended()

		p = shadowOn(t, dir, redisAddr)
		began = time.Now()
		steps := map[int]bool{}
		require.Eventually(t, func() bool {
			b := statusOf(t, p).Backfill
			steps[b.Done] = true
			return b.State == "done"
		}, caughtUp, pollEvery)
		took := time.Since(began)
		v := requireEqual(t, p, healWithin)
		t.Logf("caught up %s after it was ready, in %d steps seen, verified %d records %s later", took.Round(time.Millisecond),
			len(steps), v.Compared, (time.Since(began) - took).Round(time.Millisecond))
		require.Equal(t, manyRecords, v.Compared)
		require.Greater(t, len(steps), 3, "progress is seen")
		require.Regexp(t, regexp.MustCompile(`making records equal: done=\d+ total=100000`), p.Output())
		require.Contains(t, p.Metrics(), `lock_sidecar_backfill_records{state="done"}`)
		require.Len(t, records(t, p), manyRecords)
	})
}

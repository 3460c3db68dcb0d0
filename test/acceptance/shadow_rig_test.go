package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const (
	pollEvery = 50 * time.Millisecond
	prefix    = "atlantis:enhanced:"
)

// status is what these tests read in the document of "status --json", by the API.
type status struct {
	StoreID string `json:"store_id"`
	Legacy  struct {
		Healthy bool
		Records int
	}
	Enhanced *struct {
		Healthy bool
		Kind    string
		Records int
		Error   string
		Breaker string
	}
	Mirror   struct{ Pending, Dirty int }
	Backfill struct {
		State       string
		Done, Total int
	}
	Comparisons struct{ Match, Mismatch, Ignored int }
	Divergences struct{ Total, Unresolved int }
	Verify      *struct{ Compared, Differences int }
}

// verdict is the document of "verify --json" and "repair --json".
type verdict struct {
	Verdict     string
	Compared    int
	Differences []struct{ Kind, Record string }
}

// divergence is a line of the divergence log, and an element of "divergences --json".
type divergence struct {
	ID                             uint64
	Kind, Record, Operation, Cause string
	Legacy, Enhanced               struct{ Holder, Digest string }
	Resolved                       any
}

// shadowOn starts serve in mode shadow; without an address of a Redis the enhanced store is embedded.
func shadowOn(t *testing.T, dir, redisAddr string, args ...string) *sidecar.Process {
	t.Helper()
	args = append([]string{"--mode", "shadow"}, args...)
	if redisAddr != "" {
		args = append(args, "--redis-addr", redisAddr)
	}
	return sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args})
}

func readJSON(t *testing.T, text string, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), into), "%s", text)
}

func statusOf(t *testing.T, p *sidecar.Process) (s status) {
	t.Helper()
	document, err := p.Status(t.Context())
	require.NoError(t, err)
	readJSON(t, document, &s)
	return s
}

// filled waits until the backfill is done: only then outcomes are compared.
func filled(t *testing.T, p *sidecar.Process, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool { return statusOf(t, p).Backfill.State == "done" }, within, pollEvery, "backfill")
}

// verify runs "verify" and returns its answer and exit code.
func verify(t *testing.T, p *sidecar.Process, within time.Duration) (v verdict, code int, stderr string) {
	t.Helper()
	stdout, stderr, code := p.Verb("verify", "--json", "--timeout", within.String())
	if code <= 1 {
		readJSON(t, stdout, &v)
	}
	return v, code, stderr
}

// requireEqual ensures that both stores are found equal within that time. A follower that did not answer just then is no
// difference: it is asked again.
func requireEqual(t *testing.T, p *sidecar.Process, within time.Duration) verdict {
	t.Helper()
	v, code, stderr := verify(t, p, within)
	for began := time.Now(); code == exitUnreachable && time.Since(began) < within; {
		wait(t, pollEvery)
		v, code, stderr = verify(t, p, within)
	}
	require.Zero(t, code, "verify: %+v %s; %+v", v, stderr, statusOf(t, p))
	require.Equal(t, "equal", v.Verdict)
	require.Empty(t, v.Differences)
	return v
}

// divergenceLog reads the log on disk. Its writer runs behind, so whoever looks for something asks again.
func divergenceLog(t *testing.T, dir string) (found []divergence) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "divergences.jsonl"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var d divergence
		if json.Unmarshal(lines.Bytes(), &d) == nil { // the last line may be half written
			found = append(found, d)
		}
	}
	return found
}

// unexplained are the divergences of which nobody knows the cause: with nobody at the stores there may be none.
func unexplained(found []divergence) (bad []string) {
	for _, d := range found {
		if d.Cause == "" {
			bad = append(bad, fmt.Sprintf("%d %s %s by %s", d.ID, d.Kind, d.Record, d.Operation))
		}
	}
	return bad
}

// inRedis reads the enhanced store's records by their Redis keys, wire key to value, as somebody without our code does.
func inRedis(t *testing.T, c redis.UniversalClient) map[string]string {
	t.Helper()
	wire := map[string]string{"lock": "pr/", "command": "global/", "pull": ""}
	records := map[string]string{}
	scan := c.Scan(t.Context(), 0, prefix+"*", 1000).Iterator()
	for scan.Next(t.Context()) {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(scan.Val(), prefix), ":")
		before, is := wire[kind]
		if !is {
			continue
		}
		_, name, _ := strings.Cut(rest, "}:")
		raw, err := c.HGet(t.Context(), scan.Val(), "raw").Result()
		require.NoError(t, err, scan.Val())
		records[before+name] = raw
	}
	require.NoError(t, scan.Err())
	return records
}

// redisKey is where the enhanced store keeps a record, found by its name: the partition is the store's affair.
func redisKey(t *testing.T, c *redis.Client, wire string) (key, index string) {
	t.Helper()
	kind, name := "pull", wire
	if rest, is := strings.CutPrefix(wire, "pr/"); is {
		kind, name = "lock", rest
	} else if rest, is := strings.CutPrefix(wire, "global/"); is {
		kind, name = "command", rest
	}
	for partition := range 16 {
		key = fmt.Sprintf("%s%s:{%02d}:%s", prefix, kind, partition, name)
		if c.Exists(t.Context(), key).Val() == 1 {
			return key, fmt.Sprintf("%sindex:{%02d}", prefix, partition)
		}
	}
	t.Fatalf("no partition has %s", wire)
	return "", ""
}

// inFile reads the records of the embedded store after its process has ended. enhanced/embedded
// documents the layout.
func inFile(t *testing.T, dir string) (records map[string]string) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "enhanced.db"), 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	require.NoError(t, err)
	defer db.Close()
	records = map[string]string{}
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		for partition := range 16 {
			err := tx.Bucket(fmt.Appendf(nil, "%02d", partition)).ForEach(func(key, value []byte) error {
				const origin = 4*8 + 16 // behind four numbers and the id of the operation, length first
				require.Greater(t, len(value), origin+1+int(value[origin]), "%s", key)
				records[string(key)] = string(value[origin+1+int(value[origin]):])
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return records
}

// wireKeys is the reverse of bolted.
func wireKeys(records sidecar.Records) map[string]string {
	keys := map[string]string{}
	for bucket, before := range map[string]string{"runLocks": "pr/", "globalLocks": "global/", "pulls": ""} {
		for key, value := range records[bucket] {
			keys[before+key] = value
		}
	}
	return keys
}

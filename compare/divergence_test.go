package compare_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	lockA   = locking.MustKey("pr/acme/infra/./default/")
	status  = locking.MustKey("github.com::acme/infra::12")
	command = locking.MustKey("global/apply/lock")
)

const token = "EXAMPLE-TOKEN-NOT-REAL"

func record(key locking.Key, version uint64, value []byte) locking.Record {
	return locking.Record{Key: key, Version: version, Value: value}
}

func held(num int) []byte { return storetest.Value("github.com", "acme/infra", num) }

// Two records differ in one of four ways, and versions are none of them.
func TestRecords(t *testing.T) {
	var none locking.Record
	for _, c := range []struct {
		name                string
		key                 locking.Key
		authority, follower locking.Record
		want                compare.Kind
	}{
		{"both absent", lockA, none, none, ""},
		{"same bytes, other versions", lockA, record(lockA, 1, held(12)), record(lockA, 900, held(12)), ""},
		{"same empty bytes", status, record(status, 1, nil), record(status, 2, []byte{}), ""},
		{"follower lacks it", lockA, record(lockA, 1, held(12)), none, compare.Missing},
		{"follower has one too many", lockA, none, record(lockA, 1, held(12)), compare.Extra},
		{"follower lacks an empty one", status, record(status, 1, nil), none, compare.Missing},
		{"another pull request", lockA, record(lockA, 1, held(12)), record(lockA, 1, held(13)), compare.Owner},
		{"another host", lockA, record(lockA, 1, held(12)), record(lockA, 1, storetest.Value("gitlab.com", "acme/infra", 12)), compare.Owner},
		{"same owner, other bytes", lockA, record(lockA, 1, held(12)), record(lockA, 1, append(held(12), ' ')), compare.Value},
		{"no owner on one side", lockA, record(lockA, 1, held(12)), record(lockA, 1, []byte("{}")), compare.Value},
		{"no owner on either", lockA, record(lockA, 1, []byte("x")), record(lockA, 1, []byte("y")), compare.Value},
		{"a status has no owner", status, record(status, 1, held(12)), record(status, 1, held(13)), compare.Value},
		{"a command lock has none", command, record(command, 1, held(12)), record(command, 1, held(13)), compare.Value},
	} {
		kind, differ := compare.Records(c.key, c.authority, c.follower)
		require.Equal(t, c.want, kind, c.name)
		require.Equal(t, c.want != "", differ, c.name)
	}
}

// Outcomes differ first by the record that was met, then by the decision.
func TestOutcomes(t *testing.T) {
	met := record(lockA, 1, held(12))
	for _, c := range []struct {
		name                string
		authority, follower locking.Outcome
		want                compare.Kind
	}{
		{"both applied", locking.Outcome{Applied: true, Version: 3}, locking.Outcome{Applied: true, Version: 70}, ""},
		{"both refused", locking.Outcome{Refused: true, Before: met}, locking.Outcome{Refused: true, Before: record(lockA, 9, held(12))}, ""},
		{"one refused on the same record", locking.Outcome{Refused: true, Before: met}, locking.Outcome{Applied: true, Before: met}, compare.Outcome},
		{"one batch applied", locking.Outcome{Applied: true, Before: met}, locking.Outcome{Before: met}, compare.Outcome},
		{"refused by another's lock", locking.Outcome{Refused: true, Before: met}, locking.Outcome{Applied: true}, compare.Missing},
		{"applied over different records", locking.Outcome{Applied: true}, locking.Outcome{Applied: true, Before: met}, compare.Extra},
		{"refused by different holders", locking.Outcome{Refused: true, Before: met}, locking.Outcome{Refused: true, Before: record(lockA, 1, held(13))}, compare.Owner},
	} {
		kind, differ := compare.Outcomes(lockA, c.authority, c.follower)
		require.Equal(t, c.want, kind, c.name)
		require.Equal(t, c.want != "", differ, c.name)
	}
}

// A side names holder and digest, survives JSON, and holds no value.
func TestSideShowsHolderAndDigest(t *testing.T) {
	for _, c := range []struct {
		record locking.Record
		holder string
		digest string
	}{
		{locking.Record{}, "", ""},
		{record(lockA, 7, []byte("")), "unreadable", "e3b0c44298fc"},
		{record(status, 7, []byte("")), "", "e3b0c44298fc"},
		{record(lockA, 7, held(12)), "pull #12 of acme/infra", compare.SideOf(record(status, 1, held(12)), 0).Digest},
	} {
		side := compare.SideOf(c.record, 1500*time.Microsecond)
		require.Equal(t, compare.Side{Holder: c.holder, Digest: c.digest, Version: c.record.Version, Latency: 1500 * time.Microsecond}, side)
		text, err := json.Marshal(side)
		require.NoError(t, err)
		require.NotContains(t, string(text), token)
		require.Contains(t, string(text), `"latency_seconds":0.0015`)
		var back compare.Side
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, side, back)
	}
}

// A verdict rests on a number of comparisons; none and half of them are no verdict, one difference is enough.
func TestVerdicts(t *testing.T) {
	at := time.Unix(1e9, 0)
	for _, c := range []struct {
		compared, differences int
		err                   error
		want                  compare.Verdict
	}{
		{10, 0, nil, compare.Equal},
		{10, 1, nil, compare.Different},
		{10, 1, errors.New("away"), compare.Different},
		{10, 0, errors.New("away"), compare.None},
		{0, 0, nil, compare.None},
	} {
		require.Equal(t, compare.Verification{Verdict: c.want, At: at, Compared: c.compared, Differences: c.differences},
			compare.Judge(at, c.compared, c.differences, c.err))
	}
}

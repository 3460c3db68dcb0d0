package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/doctor"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// good is a configuration on which nothing is wrong, with a database.
func good(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Sidecar.DataDir = t.TempDir()
	store, err := legacy.Open(t.Context(), legacy.Options{Dir: c.Sidecar.DataDir})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	ports := process.FreeAddrs(t, 3) // last, as somebody may take one before it is looked at
	c.Sidecar.Listen, c.Sidecar.AdminListen, c.Sidecar.MetricsListen = ports[0], ports[1], ports[2]
	return c
}

func examine(t *testing.T, o doctor.Options) doctor.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := doctor.Examine(ctx, o)
	for _, f := range r.Findings {
		require.NotEmpty(t, f.What)
		require.NotEmpty(t, f.Why, f.What)
		require.NotEmpty(t, f.Mend, f.What)
		require.Contains(t, []string{doctor.Error, doctor.Warning}, f.Severity)
		require.True(t, slices.ContainsFunc(r.Checked, func(c string) bool { return strings.HasPrefix(c, f.Subject+": "+f.Check) }), f.What)
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f doctor.Finding) bool { // true of a busy machine; redisstore tests it
		return f.Subject == "redis" && f.Check == "latency"
	})
	return r
}

// found are the findings in short.
func found(r doctor.Report) (all []string) {
	for _, f := range r.Findings {
		all = append(all, f.Severity+" "+f.Subject+" "+f.Check)
	}
	return all
}

// Of a good set-up there is nothing to say, before the first start and later.
func TestNothingIsFoundOnAGoodSetUp(t *testing.T) {
	c := good(t)
	r := examine(t, doctor.Options{Config: c})
	require.Empty(t, r.Findings)
	require.Empty(t, r.Unknown)
	require.Greater(t, len(r.Checked), 8)

	c.Sidecar.DataDir = filepath.Join(t.TempDir(), "not-made-yet")
	require.Empty(t, examine(t, doctor.Options{Config: c}).Findings)
	require.NoDirExists(t, c.Sidecar.DataDir, "it only looks")
}

// Each thing that can be wrong with the files is found, and nothing else then. The wrong owner and a full disk want
// root: test/e2e has them.
func TestFilesAreLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  []string
		says  string
	}{
		"held": {func(t *testing.T, path string) {
			db, err := bolt.Open(path, 0o600, nil) // as Atlantis
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
		}, []string{"error files holder"}, fmt.Sprintf("process %d (", os.Getpid())},
		"damaged": {func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("no database"), 0o600)) },
			[]string{"error files integrity"}, "file is damaged"},
		"cut": {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 8192)) },
			[]string{"error files integrity"}, "file is damaged"},
		"empty":    {func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) }, nil, ""},
		"for all":  {func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o604)) }, []string{"warning files mode"}, "-rw----r--"},
		"as group": {func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o660)) }, nil, ""},
		"no directory": {func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		}, []string{"error files directory"}, "it is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			o := doctor.Options{Config: good(t)}
			c.spoil(t, filepath.Join(o.Config.Sidecar.DataDir, legacy.FileName))
			r := examine(t, o)
			require.Equal(t, c.want, found(r))
			if c.want != nil {
				require.Contains(t, r.Findings[0].What, c.says)
			}
		})
	}
}

// Examining a database keeps nobody out of it and leaves it as it is.
func TestExaminingLeavesTheDatabaseAlone(t *testing.T) {
	o := doctor.Options{Config: good(t)}
	path := filepath.Join(o.Config.Sidecar.DataDir, legacy.FileName)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	were, err := os.ReadDir(o.Config.Sidecar.DataDir)
	require.NoError(t, err)
	examine(t, o)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	left, err := os.ReadDir(o.Config.Sidecar.DataDir)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(were), fmt.Sprint(left))
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Nanosecond})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// A port that somebody has is named with the flag that changes it.
func TestPortsAreLookedAt(t *testing.T) {
	c := good(t)
	taken, err := net.Listen("tcp", c.Sidecar.Listen)
	require.NoError(t, err)
	defer taken.Close()
	c.Sidecar.MetricsListen = "192.0.2.1:9381"
	r := examine(t, doctor.Options{Config: c})
	require.Equal(t, []string{"error sidecar listen", "error sidecar metrics-listen"}, found(r))
	require.Equal(t, "Another program listens on "+c.Sidecar.Listen, r.Findings[0].What)
	require.Contains(t, r.Findings[0].Mend, "--listen")
}

// Contradictory settings are found, where the configuration can be used and where it cannot.
func TestContradictionsAreFound(t *testing.T) {
	warning := config.Finding{Key: "redis.addr", Where: "--redis-addr", Text: "redis.addr is a:1 but enhanced-locking.backend is embedded: Redis is not used"}
	r := examine(t, doctor.Options{Config: good(t), Warnings: []config.Finding{warning}})
	require.Equal(t, []string{"warning configuration contradictions"}, found(r))
	require.Equal(t, "--redis-addr: "+warning.Text, r.Findings[0].What)

	r = doctor.Invalid(&config.Error{Findings: []config.Finding{{Text: "redis.cluster-mode is true but redis.db is 3", Hint: "a cluster has database 0 only"}}}, []config.Finding{warning})
	require.Equal(t, []string{"error configuration contradictions", "warning configuration contradictions"}, found(r))
	require.Equal(t, "a cluster has database 0 only", r.Findings[0].Mend)
	require.Equal(t, 1, r.Errors())
}

// What is wrong with Redis is found on a real one; what it should be is tested with redisstore.
func TestRedisIsLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		mode config.Mode
		want []string
	}{
		"good":                       {[]string{"--appendonly", "yes", "--maxmemory", "100mb"}, config.ModeShadow, nil},
		"evicts":                     {[]string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, config.ModeShadow, []string{"error redis eviction"}},
		"no persistence":             {nil, config.ModePrimary, []string{"warning redis persistence"}},
		"no persistence, no standby": {nil, config.ModeEnhanced, []string{"error redis persistence"}},
		"a replica":                  {[]string{"--appendonly", "yes", "--replicaof", "127.0.0.1 1"}, config.ModeShadow, []string{"error redis role"}},
		"all of it": {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--replicaof", "127.0.0.1 1"}, config.ModeShadow,
			[]string{"error redis eviction", "error redis role", "warning redis persistence"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, c.args...)
			o := doctor.Options{Config: good(t), Redis: store(t, server.Addr)}
			o.Config.Redis.Addrs, o.Config.Sidecar.Mode = []string{server.Addr}, c.mode
			require.Equal(t, c.want, found(examine(t, o)))
		})
	}
}

// keepMode keeps a mode in the atlantis.db of a data directory, as a sidecar that ran there has.
func keepMode(t *testing.T, dir string, a shadow.Assignment) {
	t.Helper()
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.SetMode(t.Context(), a.Encode()))
	require.NoError(t, s.Close())
}

// A store in Redis that would not let the sidecar of this data directory in is found before that is started: with an
// atlantis.db of its own, with a new one, and with none. Its owner, one that was admitted, and a store of nobody are not.
func TestAStoreOfAnotherSidecarIsFound(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	connection, err := redisstore.Connect(redisstore.Server{Addrs: []string{server.Addr}, ReadTimeout: 5 * time.Second})
	require.NoError(t, err)
	owned := good(t)
	path := filepath.Join(owned.Sidecar.DataDir, legacy.FileName)
	own, _, err := legacy.OwnerIn(path)
	require.NoError(t, err)
	owner, err := redisstore.New(connection, redisstore.Options{Owner: own, Prefix: "atlantis:enhanced:"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, owner.Close()) })
	look := func(c *config.Config) doctor.Report {
		c.Redis.Addrs = []string{server.Addr}
		return examine(t, doctor.Options{Config: c, Redis: store(t, server.Addr)})
	}
	another := good(t)
	require.Empty(t, look(another).Findings, "it is nobody's yet")

	_, err = owner.Join(t.Context(), enhanced.Known{})
	require.NoError(t, err)
	require.Empty(t, look(owned).Findings)
	r := look(another)
	require.Equal(t, []string{"warning redis owner"}, found(r))
	require.Contains(t, r.Findings[0].What, "belongs to another sidecar, "+own)
	another.Sidecar.Mode = config.ModePrimary
	require.Equal(t, []string{"error redis owner"}, found(look(another)), "it would not start")
	for want, modes := range map[string][]shadow.Assignment{ // the mode that was kept counts, not the configured one
		"warning redis owner": {{Mode: shadow.Shadow}, {Mode: shadow.Primary, FallenBack: true}},
		"error redis owner":   {{Mode: shadow.Primary}, {Mode: shadow.Hybrid, Percent: 50}, {Mode: shadow.Enhanced}},
	} {
		for _, mode := range modes {
			mode.Epoch = 3
			keepMode(t, another.Sidecar.DataDir, mode)
			for _, configured := range []config.Mode{config.ModeShadow, config.ModePrimary} {
				another.Sidecar.Mode = configured
				require.Equal(t, []string{want}, found(look(another)), "%+v", mode)
			}
		}
	}
	guest, _, err := legacy.OwnerIn(filepath.Join(another.Sidecar.DataDir, legacy.FileName))
	require.NoError(t, err)
	_, err = owner.Admit(t.Context(), guest)
	require.NoError(t, err)
	require.Empty(t, look(another).Findings)

	another.Sidecar.Mode, another.Sidecar.DataDir = config.ModeShadow, filepath.Join(t.TempDir(), "not-made-yet")
	r = look(another)
	require.Equal(t, []string{"warning redis owner"}, found(r))
	require.Contains(t, r.Findings[0].What, "has no sidecar's id yet")
	require.NoError(t, owner.Probe(t.Context()), "looking has taken nothing from its owner")

	require.NoError(t, server.Client(t).HSet(t.Context(), "atlantis:enhanced:head:{00}", "schema", "2").Err())
	r = look(owned)
	require.Empty(t, r.Findings)
	require.Len(t, r.Unknown, 1)
	require.Contains(t, r.Unknown[0].Why, "schema 2")
}

func store(t *testing.T, addr string) *redisstore.Store {
	t.Helper()
	connection, err := redisstore.Connect(redisstore.Server{Addrs: []string{addr}, ReadTimeout: 5 * time.Second})
	require.NoError(t, err)
	s, err := redisstore.New(connection, redisstore.Options{Owner: "doctor", Prefix: "atlantis:enhanced:"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// A Redis that is away is one finding, and one on another machine without TLS is another.
func TestRedisThatIsAway(t *testing.T) {
	o := doctor.Options{Config: good(t), Redis: store(t, process.FreeAddr(t))}
	o.Config.Redis.Addrs = []string{"redis.example.com:6379"}
	r := examine(t, o)
	require.Equal(t, []string{"error redis reachable", "warning redis tls"}, found(r))
	require.Contains(t, r.Findings[0].What, "Redis at redis.example.com:6379 refuses connections")
}

// running is a sidecar that says what a test wants.
type running struct {
	status    client.Status
	err       error
	copy      []byte
	copyErr   error
	scans     func() int
	noMetrics error
}

func (r *running) Status(context.Context) (client.Status, error) { return r.status, r.err }

func (r *running) Backup(_ context.Context, w io.Writer) (int64, error) {
	n, err := w.Write(r.copy)
	return int64(n), errors.Join(err, r.copyErr)
}

func (r *running) Metrics(_ context.Context, w io.Writer) error {
	n := 0
	if r.scans != nil {
		n = r.scans()
	}
	_, err := fmt.Fprintf(w, "# HELP x\nlock_sidecar_operations_total{op=\"get\",result=\"ok\",store=\"legacy\"} 7\n"+
		"lock_sidecar_operations_total{op=\"scan\",result=\"ok\",store=\"legacy\"} %d\n", n)
	return errors.Join(err, r.noMetrics)
}

func healthy() client.Status {
	return client.Status{Mode: "shadow", Legacy: client.Legacy{Healthy: true, Whole: true}, Enhanced: &client.Enhanced{Healthy: true}}
}

// Beside a sidecar that runs it is no finding that it holds the file and the ports; what it says of itself is.
func TestASidecarThatRunsIsAsked(t *testing.T) {
	o := doctor.Options{Config: good(t)}
	path := filepath.Join(o.Config.Sidecar.DataDir, legacy.FileName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	taken, err := net.Listen("tcp", o.Config.Sidecar.Listen)
	require.NoError(t, err)
	defer taken.Close()

	for name, c := range map[string]struct {
		spoil   func(*running)
		want    []string
		unknown string
	}{
		"well":      {func(*running) {}, nil, ""},
		"down":      {func(r *running) { r.status.Down = "redis is away" }, []string{"error sidecar healthy"}, ""},
		"legacy":    {func(r *running) { r.status.Legacy = client.Legacy{Error: "disk full"} }, []string{"error sidecar healthy"}, ""},
		"retired":   {func(r *running) { r.status.Mode, r.status.Legacy = "enhanced", client.Legacy{} }, nil, ""},
		"away":      {func(r *running) { r.status.Enhanced.Error = "refused" }, []string{"warning sidecar healthy"}, ""},
		"fallen":    {func(r *running) { r.status.Mode, r.status.FallenBack = "primary", true }, []string{"warning sidecar fallback"}, ""},
		"unsafe":    {func(r *running) { r.status.Mode = "primary" }, []string{"warning sidecar fallback"}, ""},
		"safe":      {func(r *running) { r.status.Mode, r.status.SafeFallback = "primary", true }, nil, ""},
		"shared":    {func(r *running) { r.status.Mode, r.status.Shared = "primary", true }, nil, ""},
		"disputed":  {func(r *running) { r.status.Conflicts = 1 }, []string{"warning sidecar conflicts"}, ""},
		"different": {func(r *running) { r.status.Divergences.Unresolved = 1 }, []string{"warning sidecar divergences"}, ""},
		"damaged":   {func(r *running) { r.copy = r.copy[:8192] }, []string{"error files integrity"}, ""},
		"no copy":   {func(r *running) { r.copyErr = errors.New("busy") }, nil, "integrity of atlantis.db"},
	} {
		r := &running{status: healthy(), copy: whole}
		c.spoil(r)
		o.Sidecar = r
		got := examine(t, o)
		require.Equal(t, c.want, found(got), name)
		if c.unknown != "" {
			require.Equal(t, c.unknown, got.Unknown[0].Check)
		} else {
			require.Empty(t, got.Unknown, name)
		}
	}

	o.Sidecar, o.SidecarErr = nil, errors.New("it does not accept the token")
	require.Equal(t, []string{"error sidecar answers", "error files holder"}, found(examine(t, o)))
}

// atlantis is an Atlantis that says what a test wants.
type atlantis struct {
	healthy, versionErr, locksErr error
	version                       string
	asks                          func()
}

func (a *atlantis) URL() string                             { return "http://127.0.0.1:4141" }
func (a *atlantis) Healthy(context.Context) error           { return a.healthy }
func (a *atlantis) Version(context.Context) (string, error) { return a.version, a.versionErr }
func (a *atlantis) Locks(context.Context) (int, error) {
	if a.asks != nil {
		a.asks()
	}
	return 3, a.locksErr
}

// Whether Atlantis is there, which it is, and whether its locks are here, which only a sidecar that runs can see.
func TestAtlantisIsLookedAt(t *testing.T) {
	scans := 0
	asks := func() { scans++ }
	for name, c := range map[string]struct {
		atlantis atlantis
		offline  bool
		want     []string
		says     string
		unknown  []string
	}{
		"good":      {atlantis: atlantis{version: "0.40.0", asks: asks}},
		"elsewhere": {atlantis: atlantis{version: "v0.40.0"}, want: []string{"error atlantis locking database"}, says: "listed 3 locks and did not ask this sidecar"},
		"away":      {atlantis: atlantis{healthy: errors.New("ask atlantis: refused")}, want: []string{"error atlantis reachable"}, says: "Ask atlantis: refused"},
		"old":       {atlantis: atlantis{version: "0.17.3", asks: asks}, want: []string{"warning atlantis version"}, says: "tested from v0.22"},
		"no locks":  {atlantis: atlantis{version: "0.40.0", asks: asks, locksErr: errors.New("500")}, want: []string{"error atlantis locks"}, says: "cannot list its locks"},
		"mute":      {atlantis: atlantis{versionErr: atlantisapi.ErrNoRoute, locksErr: atlantisapi.ErrNoRoute}, unknown: []string{"the version of Atlantis", "where Atlantis keeps its locks"}},
		"offline":   {atlantis: atlantis{version: "0.40.0"}, offline: true, unknown: []string{"where Atlantis keeps its locks"}},
	} {
		o := doctor.Options{Config: good(t), Atlantis: &c.atlantis}
		if !c.offline {
			o.Sidecar = &running{status: healthy(), scans: func() int { return scans }}
		}
		r := examine(t, o)
		require.Equal(t, c.want, found(r), name)
		if c.want != nil {
			require.Contains(t, r.Findings[0].What, c.says, name)
		}
		var unknown []string
		for _, u := range r.Unknown {
			unknown = append(unknown, u.Check)
		}
		require.Equal(t, c.unknown, unknown, name)
	}
	o := doctor.Options{Config: good(t), Atlantis: &atlantis{version: "0.40.0"}, Sidecar: &running{status: healthy()}}
	o.Config.Sidecar.Listen = "0.0.0.0:6390"
	require.Regexp(t, regexp.QuoteMeta("--locking-db-type=redis --redis-host=127.0.0.1 --redis-port=6390"), examine(t, o).Findings[0].Mend)
}

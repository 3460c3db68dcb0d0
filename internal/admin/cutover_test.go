package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

// cutover is the part of a fake that changes who answers. It notes what it was
// asked for and answers what a test says.
type cutover struct {
	asked  []any
	within time.Duration // that the last call had
	err    error

	state     client.ModeState
	result    client.ModeResult
	readied   client.Readiness
	disputed  client.ConflictList
	rollback  client.RollbackDrill
	outage    client.OutageDrill
	admitted  client.Admitted
	acts      client.AuditList
	locks     client.LockList
	taken     client.Unlocked
	frozen    client.FreezeList
	exporting func(context.Context, io.Writer, bool) error
	importing func(context.Context, io.Reader, client.ImportRequest) (client.ImportSummary, error)
}

func (c *cutover) note(ctx context.Context, what any) error {
	c.asked = append(c.asked, what)
	deadline, _ := ctx.Deadline()
	c.within = time.Until(deadline)
	return c.err
}

func (c *cutover) Mode() client.ModeState { return c.state }
func (c *cutover) SetMode(ctx context.Context, r client.ModeRequest) (client.ModeResult, error) {
	return c.result, c.note(ctx, r)
}
func (c *cutover) FallBack(ctx context.Context, reason string) (client.ModeResult, error) {
	return c.result, c.note(ctx, reason)
}
func (c *cutover) Return(ctx context.Context, r client.ReturnRequest) (client.ModeResult, error) {
	return c.result, c.note(ctx, r)
}
func (c *cutover) Readiness(ctx context.Context) (client.Readiness, error) {
	return c.readied, c.note(ctx, "readiness")
}
func (c *cutover) Conflicts() client.ConflictList { return c.disputed }
func (c *cutover) Locks(ctx context.Context, q client.LockQuery) (client.LockList, error) {
	return c.locks, c.note(ctx, q)
}
func (c *cutover) Lock(ctx context.Context, id string) (client.Lock, error) {
	return c.taken.Lock, c.note(ctx, id)
}
func (c *cutover) Unlock(ctx context.Context, id string, r client.UnlockRequest) (client.Unlocked, error) {
	return c.taken, c.note(ctx, []any{id, r})
}
func (c *cutover) Freezes() (client.FreezeList, error) { return c.frozen, c.err }
func (c *cutover) Freeze(ctx context.Context, r client.FreezeRequest) (client.FreezeList, error) {
	return c.frozen, c.note(ctx, r)
}
func (c *cutover) Lift(glob, reason string) (client.FreezeList, error) {
	c.asked = append(c.asked, []string{glob, reason})
	return c.frozen, c.err
}
func (c *cutover) ResolveConflict(ctx context.Context, r client.ConflictResolution) error {
	return c.note(ctx, r)
}
func (c *cutover) DrillRollback(ctx context.Context, r client.RollbackRequest) (client.RollbackDrill, error) {
	return c.rollback, c.note(ctx, r)
}
func (c *cutover) DrillOutage(ctx context.Context, r client.OutageRequest) (client.OutageDrill, error) {
	return c.outage, c.note(ctx, r)
}
func (c *cutover) Admit(ctx context.Context, r client.AdmitRequest) (client.Admitted, error) {
	sidecar := r.Sidecar
	return c.admitted, c.note(ctx, sidecar)
}
func (c *cutover) Audit(n int) (client.AuditList, error) {
	c.asked = append(c.asked, n)
	return c.acts, c.err
}
func (c *cutover) Export(ctx context.Context, w io.Writer, values bool) error {
	return c.exporting(ctx, w, values)
}
func (c *cutover) Import(ctx context.Context, r io.Reader, o client.ImportRequest) (client.ImportSummary, error) {
	return c.importing(ctx, r, o)
}

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// Every call reaches the sidecar as it was made, in the time that it has, and its answer arrives as it was given.
func TestCutoverCallsArrive(t *testing.T) {
	percent := 25
	f := &fake{cutover: cutover{
		state:   client.ModeState{Mode: "hybrid", Epoch: 6, Percent: 5, Repos: []string{"acme/*"}, Reason: "first step", Since: noon, Postponed: "freeze"},
		result:  client.ModeResult{Mode: "hybrid", Epoch: 7, Percent: 25, Repos: []string{}, HeldMS: 14.5, Drained: 3, MovedRoutes: 12, Steps: []string{"drained"}, Warning: "w"},
		readied: client.Readiness{For: "primary", Items: []client.ReadinessItem{{Name: "duration", Have: "2h", Want: "24h", Hint: "wait"}}},
		disputed: client.ConflictList{Total: 1, Conflicts: []client.Conflict{{ID: 3, At: noon, Record: "pr/acme/infra/./default/",
			LegacyHolder: "pull #12", LegacyDigest: "ab", EnhancedHolder: "pull #13", EnhancedDigest: "cd"}}},
		rollback: client.RollbackDrill{OK: true, Records: 2, ByKind: client.Counts{ProjectLocks: 2}, WithoutLocksMS: 80, Damage: []string{}, Notes: []string{"n"}},
		outage:   client.OutageDrill{OK: true, Commands: 9, FellBackMS: 500, ReturnedMS: 900, Verdict: "equal", Notes: []string{}},
		admitted: client.Admitted{Sidecar: "b", OwnID: "a", All: []string{"a", "b"}},
		frozen:   client.FreezeList{Freezes: []client.Freeze{{Glob: "acme/*", Reason: "upgrade", Since: noon}}, Changed: true},
		acts:     client.AuditList{Entries: []client.AuditEntry{{At: noon, Act: "mode", Actor: "operator", From: "shadow", To: "hybrid 5%", Epoch: 6, Result: "done", Details: map[string]string{"held_ms": "14"}}}},
	}}
	_, api, _ := start(t, f)
	c, ctx := connect(t, api), t.Context()

	call := func(do func() (any, error), answer, asked any, within time.Duration) {
		t.Helper()
		f.asked = nil
		got, err := do()
		require.NoError(t, err)
		require.Equal(t, answer, got)
		require.Equal(t, []any{asked}, f.asked)
		if within > 0 {
			require.InDelta(t, within.Seconds(), f.within.Seconds(), 20)
		}
	}
	request := client.ModeRequest{Mode: "hybrid", Percent: &percent, Reason: "second step", Force: true, AtQuiet: true, Timeout: "5m0s"}
	call(func() (any, error) { return c.SetMode(ctx, request) }, f.result, request, 5*time.Minute)
	cleared := client.ModeRequest{Mode: "hybrid", Repos: []string{}}
	call(func() (any, error) { return c.SetMode(ctx, cleared) }, f.result, cleared, 30*time.Second)
	call(func() (any, error) { return c.FallBack(ctx, "redis is replaced") }, f.result, "redis is replaced", 30*time.Second)
	back := client.ReturnRequest{Reason: "redis is there", Force: true}
	call(func() (any, error) { return c.Return(ctx, back) }, f.result, back, 10*time.Minute)
	call(func() (any, error) { return c.Readiness(ctx) }, f.readied, "readiness", 30*time.Second)
	call(func() (any, error) { return c.DrillRollback(ctx, client.RollbackRequest{Reason: "week 7"}) }, f.rollback, client.RollbackRequest{Reason: "week 7"}, 10*time.Minute)
	call(func() (any, error) { return c.DrillOutage(ctx, client.OutageRequest{Reason: "week 7"}) }, f.outage,
		client.OutageRequest{For: "5s", Reason: "week 7"}, 605*time.Second)
	call(func() (any, error) { return c.Admit(ctx, client.AdmitRequest{Sidecar: "b", Reason: "second replica"}) }, f.admitted, "b", 30*time.Second)
	frozen := client.FreezeRequest{Glob: "acme/*", Reason: "upgrade"}
	call(func() (any, error) { return c.Freeze(ctx, frozen) }, f.frozen, frozen, 30*time.Second)
	call(func() (any, error) { return c.Lift(ctx, "a&b/*", "done; 100%") }, f.frozen, []string{"a&b/*", "done; 100%"}, 0)
	call(func() (any, error) { return c.Lift(ctx, "*", "") }, f.frozen, []string{"*", ""}, 0)
	call(func() (any, error) { return c.Audit(ctx, 7) }, f.acts, 7, 0)
	resolution := client.ConflictResolution{ID: 3, Keep: "enhanced", Reason: "asked the team"}
	call(func() (any, error) { return nil, c.ResolveConflict(ctx, resolution) }, nil, resolution, 30*time.Second)

	state, err := c.Mode(ctx)
	require.NoError(t, err)
	require.Equal(t, f.state, state)
	conflicts, err := c.Conflicts(ctx)
	require.NoError(t, err)
	require.Equal(t, f.disputed, conflicts)
	freezes, err := c.Freezes(ctx)
	require.NoError(t, err)
	require.Equal(t, f.frozen, freezes)
}

// Lists are lists for a program, never null.
func TestEmptyListsOfTheCutoverAreLists(t *testing.T) {
	_, api, _ := start(t, &fake{cutover: cutover{
		importing: func(context.Context, io.Reader, client.ImportRequest) (client.ImportSummary, error) {
			return client.ImportSummary{}, nil
		},
	}})
	for path, body := range map[string]string{
		"mode": `{"mode":"primary"}`, "fallback": "", "return": "{}", "drill/rollback": "", "drill/outage": "{}",
		"admit": `{"sidecar":"b","reason":"r"}`, "conflicts/1": `{"keep":"legacy","reason":"r"}`, "import": "", "freezes": `{"glob":"*","reason":"r"}`,
	} {
		a := post(t, api+"/api/v1/"+path, body)
		require.Equal(t, http.StatusOK, a.code, a.body)
		require.NotContains(t, a.body, "null", path)
	}
	for _, path := range []string{"mode", "readiness", "conflicts", "audit", "freezes"} {
		a := ask(t, "GET", api+"/api/v1/"+path, withToken())
		require.Equal(t, http.StatusOK, a.code, a.body)
		require.NotContains(t, a.body, "null", path)
	}
}

// A request that makes no sense, or that wishes for what does not exist, is refused before the sidecar is asked.
func TestCutoverRefusesNonsense(t *testing.T) {
	f := &fake{}
	_, api, _ := start(t, f)
	long := strings.Repeat("x", 301)
	for path, bodies := range map[string][]string{
		"mode": {"", "{", "[]", `{"mode":"fast"}`, `{"mode":"hybrid","percent":101}`, `{"mode":"hybrid","percent":-1}`, `{"mode":"hybrid","percent":"5"}`,
			`{"mode":"primary","percent":5}`, `{"mode":"primary","repos":["a/*"]}`, `{"mode":"hybrid","repos":[""]}`,
			`{"mode":"hybrid","repos":["acme/*","acme"]}`, `{"mode":"hybrid","repos":["acme/infra/sub"]}`, `{"mode":"hybrid","repos":["acme/a b"]}`, `{"mode":"primary","force":true}`,
			`{"mode":"primary","force":true,"reason":" "}`, `{"mode":"primary","at-quiet":true}`, `{"mode":"primary"}{}`, `{"mode":"primary","timeout":"1h"}`,
			`{"mode":"primary","reason":"` + long + `"}`, `{"mode":"primary","reason":"two\nlines"}`},
		"fallback":       {"{", `{"force":true}`, `{"reason":"\u0007"}`},
		"return":         {`{"force":true}`, `{"reason":1}`},
		"drill/rollback": {`{"for":"5s"}`, "x", `{"reason":"two\nlines"}`},
		"drill/outage":   {`{"for":"61s"}`, `{"for":"0s"}`, `{"for":"soon"}`, `{"time":"5s"}`},
		"admit":          {"", `{"sidecar":"b"}`, `{"reason":"r"}`, `{"sidecar":"a\nb","reason":"r"}`},
		"conflicts/1":    {"", `{"keep":"legacy"}`, `{"keep":"both","reason":"r"}`, `{"keep":"legacy","reason":"r","id":2}`},
		"conflicts/x":    {`{"keep":"legacy","reason":"r"}`},
		"conflicts/0":    {`{"keep":"legacy","reason":"r"}`},
		"freezes": {"", `{"glob":"acme/*"}`, `{"reason":"r"}`, `{"glob":"acme/*","reason":" "}`, `{"glob":"acme/*","reason":"two\nlines"}`, `{"glob":"acme/*","reason":"` + long + `"}`,
			`{"glob":"acme","reason":"r"}`, `{"glob":"acme/infra/sub","reason":"r"}`, `{"glob":"acme/a b","reason":"r"}`, `{"glob":"` + long + `/*","reason":"r"}`, `{"glob":"*","reason":"r","until":"15:00"}`},
		"verify":     {`{"dry_run":true}`, "{} {}"},
		"import?x=1": {""}, "import?dry_run=yes": {""}, "import?replace=1": {""}, "import?replace=2&reason=r": {""}, "import?dry_run=1&dry_run=0": {""},
	} {
		for _, body := range bodies {
			a := post(t, api+"/api/v1/"+path, body)
			require.Equal(t, http.StatusBadRequest, a.code, "%s %s", path, body)
			isJSONError(t, a, "invalid")
		}
	}
	for _, path := range []string{"export?values=true", "export?value=1", "export?values=1&values=1", "audit?n=0", "audit?n=1001", "audit?n=x", "audit?last=5"} {
		a := ask(t, "GET", api+"/api/v1/"+path, withToken())
		require.Equal(t, http.StatusBadRequest, a.code, path)
		isJSONError(t, a, "invalid")
	}
	require.Empty(t, f.asked)
	a := post(t, api+"/api/v1/mode", `{"mode":"primary","sped":1}`)
	require.Contains(t, a.body, "sped", "the field is named")
}

// A refusal says once that nothing has changed.
func TestARefusalSaysOnceThatNothingHasChanged(t *testing.T) {
	for _, reason := range []string{"not ready", "no safe fallback; nothing has changed"} {
		_, api, _ := start(t, &fake{cutover: cutover{err: &admin.Guard{Reason: reason}}})
		require.Equal(t, 1, strings.Count(post(t, api+"/api/v1/fallback", "").body, "nothing has changed"), reason)
	}
}

// Each way in which the sidecar refuses has its status and code, and a guard names what is unmet.
func TestCutoverRefusalsHaveTheirCode(t *testing.T) {
	unmet := []client.ReadinessItem{{Name: "duration", Have: "2h", Want: "24h", Hint: "wait until tomorrow"}}
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"guard":         {fmt.Errorf("change mode: %w", &admin.Guard{Reason: "not ready for primary", Unmet: unmet}), 409, "guard"},
		"conflict":      {fmt.Errorf("%w: a flip is under way", admin.ErrConflict), 409, "conflict"},
		"no follower":   {fmt.Errorf("%w in mode legacy", admin.ErrNoFollower), 409, "conflict"},
		"unreachable":   {fmt.Errorf("%w: connection refused", admin.ErrUnreachable), 503, "unreachable"},
		"not running":   {fmt.Errorf("%w: opening", admin.ErrNotRunning), 503, "unreachable"},
		"out of time":   {context.DeadlineExceeded, 503, "unreachable"},
		"anything else": {errors.New("disk failed"), 503, "unreachable"},
		"not found":     {fmt.Errorf("%w: conflict 1", admin.ErrNotFound), 404, "not_found"},
		"too large":     {&http.MaxBytesError{Limit: 7}, 413, "invalid"},
		"invalid":       {fmt.Errorf("%w: line 3", admin.ErrInvalid), 400, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{cutover: cutover{err: c.err}}
			f.exporting = func(context.Context, io.Writer, bool) error { return c.err }
			f.importing = func(context.Context, io.Reader, client.ImportRequest) (client.ImportSummary, error) {
				return client.ImportSummary{}, c.err
			}
			_, api, _ := start(t, f)
			for path, body := range map[string]string{
				"mode": `{"mode":"primary"}`, "fallback": "", "return": "", "drill/rollback": "", "drill/outage": "",
				"admit": `{"sidecar":"b","reason":"r"}`, "conflicts/1": `{"keep":"legacy","reason":"r"}`, "import": "{}\n", "freezes": `{"glob":"*","reason":"r"}`,
			} {
				a := post(t, api+"/api/v1/"+path, body)
				require.Equal(t, c.status, a.code, path)
				isJSONError(t, a, c.code)
				require.Contains(t, a.body, c.err.Error())
			}
			for _, path := range []string{"readiness", "audit", "export", "freezes"} {
				a := ask(t, "GET", api+"/api/v1/"+path, withToken())
				require.Equal(t, c.status, a.code, path)
				isJSONError(t, a, c.code)
			}
			_, err := connect(t, api).SetMode(t.Context(), client.ModeRequest{Mode: "primary"})
			var refused *client.Refused
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.code, refused.Code)
			require.Equal(t, name == "guard", refused.Unmet != nil)
			if name == "guard" {
				require.Equal(t, unmet, refused.Unmet)
			}
		})
	}
}

// An export arrives whole, with values only for who asked for them; one that breaks off is an error.
func TestExportArrivesWholeOrNotAtAll(t *testing.T) {
	content := strings.Repeat(`{"key":"pr/acme/infra/./default/"}`+"\n", 10_000)
	var failing error
	var asked []bool
	_, api, _ := start(t, &fake{cutover: cutover{exporting: func(_ context.Context, w io.Writer, values bool) error {
		asked = append(asked, values)
		_, err := io.WriteString(w, content)
		return errors.Join(err, failing)
	}}})
	c := connect(t, api)
	for _, values := range []bool{false, true} {
		var got bytes.Buffer
		n, err := c.Export(t.Context(), &got, values)
		require.NoError(t, err)
		require.EqualValues(t, len(content), n)
		require.Equal(t, content, got.String())
	}
	require.Equal(t, []bool{false, true}, asked)
	failing = errors.New("disk failed")
	_, err := c.Export(t.Context(), io.Discard, false)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// An import is read as it comes, however large, and its wishes arrive.
func TestImportIsStreamed(t *testing.T) {
	const size = 3 << 20 // three times what another request may have
	var read int64
	var asked client.ImportRequest
	many := make([]string, client.MaxListed+1)
	_, api, _ := start(t, &fake{cutover: cutover{importing: func(_ context.Context, r io.Reader, o client.ImportRequest) (client.ImportSummary, error) {
		asked = o
		n, err := io.Copy(io.Discard, r)
		read = n
		return client.ImportSummary{Added: 4, Same: 3, Differing: many, DryRun: o.DryRun}, err
	}}})
	want := client.ImportRequest{DryRun: true, Replace: true, Reason: "moved house & home"}
	got, err := connect(t, api).Import(t.Context(), io.LimitReader(zeros{}, size), want)
	require.NoError(t, err)
	require.Equal(t, client.ImportSummary{Added: 4, Same: 3, Different: len(many), Differing: many[1:], DryRun: true}, got)
	require.Equal(t, want, asked)
	require.EqualValues(t, size, read)
}

// An import that says that it is too large is refused before it is read.
func TestImportThatIsTooLargeIsNotRead(t *testing.T) {
	_, api, _ := start(t, &fake{})
	request, err := http.NewRequestWithContext(t.Context(), "POST", api+"/api/v1/import", &counting{Reader: zeros{}})
	require.NoError(t, err)
	request.ContentLength = client.MaxImport + 1
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Expect", "100-continue")
	response, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}).RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
}

// A refused import comes back without the body having been sent.
func TestRefusedImportIsNotSent(t *testing.T) {
	_, api, _ := start(t, &fake{cutover: cutover{importing: func(context.Context, io.Reader, client.ImportRequest) (client.ImportSummary, error) {
		return client.ImportSummary{}, fmt.Errorf("%w: opening", admin.ErrNotRunning)
	}}})
	body := &counting{Reader: zeros{}}
	_, err := connect(t, api).Import(t.Context(), body, client.ImportRequest{})
	var refused *client.Refused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, client.CodeUnreachable, refused.Code)
	require.Zero(t, body.n)
}

// Drain ends a change that takes its time, so that nobody uses the stores any more.
func TestDrainEndsAChange(t *testing.T) {
	inside := make(chan struct{})
	s, api, _ := start(t, &fake{cutover: cutover{importing: func(ctx context.Context, _ io.Reader, _ client.ImportRequest) (client.ImportSummary, error) {
		close(inside)
		<-ctx.Done()
		return client.ImportSummary{}, fmt.Errorf("import: %w", ctx.Err())
	}}})
	c, ended := connect(t, api), make(chan error, 1)
	go func() {
		_, err := c.Import(context.Background(), strings.NewReader("{}\n"), client.ImportRequest{})
		ended <- err
	}()
	<-inside
	s.Drain()
	var refused *client.Refused
	require.ErrorAs(t, <-ended, &refused)
	require.Equal(t, client.CodeUnreachable, refused.Code)
}

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// counting counts what is read.
type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

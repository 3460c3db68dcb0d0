package admin_test

import (
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

// post sends a body with the token.
func post(t *testing.T, url, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Close = true
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(text), nil}
}

// A verdict arrives as it was given, and the timeout is what was asked for.
func TestVerifyAndRepairArriveWithTheirTimeout(t *testing.T) {
	verdict := client.Verdict{Verdict: client.VerdictDifferent, Compared: 3, Different: 1, Differences: []client.Difference{
		{Kind: "owner", Record: "pr/acme/infra/./default/", LegacyHolder: "pull #12", EnhancedHolder: "pull #13", AgeSeconds: 2.5},
	}}
	var within time.Duration
	var dry []bool
	run := func(ctx context.Context) (client.Verdict, error) {
		deadline, _ := ctx.Deadline()
		within = time.Until(deadline)
		return verdict, nil
	}
	_, api, _ := start(t, &fake{verify: run, repair: func(ctx context.Context, d bool) (client.Verdict, error) {
		dry = append(dry, d)
		return run(ctx)
	}})
	c := connect(t, api)
	got, err := c.Verify(t.Context(), 5*time.Minute)
	require.NoError(t, err)
	require.Equal(t, verdict, got)
	require.InDelta(t, (5 * time.Minute).Seconds(), within.Seconds(), 20)
	for _, d := range []bool{true, false} {
		got, err = c.Repair(t.Context(), d, time.Second)
		require.NoError(t, err)
		require.Equal(t, verdict, got)
		require.LessOrEqual(t, within, time.Second)
	}
	require.Equal(t, []bool{true, false}, dry)

	a := post(t, api+"/api/v1/verify", "")
	require.Equal(t, http.StatusOK, a.code)
	require.InDelta(t, 30, within.Seconds(), 20, "the default")
}

// A request that makes no sense is refused before anything is done.
func TestComparisonsRefuseNonsense(t *testing.T) {
	_, api, _ := start(t, &fake{})
	for _, body := range []string{"{", `{"timeout": 30}`, `{"timeout": "soon"}`, `{"timeout": "0s"}`, `{"timeout": "-1s"}`, `{"timeout": "11m"}`} {
		for _, path := range []string{"/api/v1/verify", "/api/v1/repair"} {
			a := post(t, api+path, body)
			require.Equal(t, http.StatusBadRequest, a.code, body)
			isJSONError(t, a, "invalid")
		}
	}
}

// Only one comparison runs at a time; its end, or that of its caller, lets the next one in.
func TestOneComparisonAtATime(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	_, api, _ := start(t, &fake{verify: func(ctx context.Context) (client.Verdict, error) {
		inside <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return client.Verdict{Verdict: client.VerdictEqual}, nil
	}})
	ended := make(chan error, 1)
	ctx, leave := context.WithCancel(t.Context())
	c := connect(t, api)
	go func() { _, err := c.Verify(ctx, time.Minute); ended <- err }()
	<-inside
	for _, path := range []string{"/api/v1/verify", "/api/v1/repair"} {
		a := post(t, api+path, "")
		require.Equal(t, http.StatusConflict, a.code)
		isJSONError(t, a, "conflict")
	}
	leave()
	require.Error(t, <-ended)
	close(release)
	require.Eventually(t, func() bool {
		go func() { // takes note of a verify that was let in
			select {
			case <-inside:
			case <-t.Context().Done():
			}
		}()
		return post(t, api+"/api/v1/verify", "").code == http.StatusOK
	}, 20*time.Second, 10*time.Millisecond)
}

// Drain ends a comparison.
func TestDrainEndsAComparison(t *testing.T) {
	inside := make(chan struct{})
	s, api, _ := start(t, &fake{verify: func(ctx context.Context) (client.Verdict, error) {
		close(inside)
		<-ctx.Done()
		return client.Verdict{}, fmt.Errorf("follower cannot be reached: %w", ctx.Err())
	}})
	ended := make(chan error, 1)
	c := connect(t, api)
	go func() { _, err := c.Verify(context.Background(), time.Minute); ended <- err }()
	<-inside
	s.Drain()
	var refused *client.Refused
	require.ErrorAs(t, <-ended, &refused)
	require.Equal(t, client.CodeUnreachable, refused.Code)
}

// What cannot be compared is an error that says what to do.
func TestComparisonsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"away":        {errors.New("follower cannot be reached: connection refused"), http.StatusServiceUnavailable, "unreachable"},
		"not running": {fmt.Errorf("%w: opening", admin.ErrNotRunning), http.StatusServiceUnavailable, "unreachable"},
		"no follower": {fmt.Errorf("%w in mode legacy", admin.ErrNoFollower), http.StatusConflict, "conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			fails := func(context.Context) (client.Verdict, error) { return client.Verdict{}, c.err }
			_, api, _ := start(t, &fake{verify: fails, backfill: func() (client.Backfill, error) { return client.Backfill{}, c.err }})
			for _, path := range []string{"/api/v1/verify", "/api/v1/backfill"} {
				a := post(t, api+path, "")
				require.Equal(t, c.status, a.code)
				isJSONError(t, a, c.code)
				require.Contains(t, a.body, c.err.Error())
			}
		})
	}
}

// Divergences and the begin of a backfill arrive as they were given; an empty list is a list.
func TestDivergencesAndBackfillArrive(t *testing.T) {
	f := &fake{backfill: func() (client.Backfill, error) { return client.Backfill{State: "running", Total: 7}, nil }}
	_, api, _ := start(t, f)
	require.Contains(t, ask(t, "GET", api+"/api/v1/divergences", withToken()).body, `"divergences":[]`)
	at := time.Date(2026, 8, 20, 9, 30, 0, 0, time.UTC)
	f.found = client.DivergenceList{Total: 1, Divergences: []client.Divergence{{
		ID: 1, At: at, LastSeen: at, Seen: 2, Kind: "owner", Record: "pr/acme/infra/./default/", Operation: "get", Cause: "missed",
		Legacy: client.Side{Holder: "pull #12", Digest: "ab", Version: 3, LatencySeconds: 0.1}, Resolved: &client.Resolution{At: at, How: "repaired"},
	}}}
	c := connect(t, api)
	l, err := c.Divergences(t.Context())
	require.NoError(t, err)
	require.Equal(t, f.found, l)
	b, err := c.Backfill(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Backfill{State: "running", Total: 7}, b)
}

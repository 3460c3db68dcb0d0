package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
)

// The first version of Atlantis that the sidecar is tested with.
const firstMajor, firstMinor = 0, 22

// atlantis asks Atlantis itself. It tells no setting: that its locks are here can
// only be seen where a sidecar runs, which then gets its question.
func (e *examination) atlantis(ctx context.Context) {
	if e.Atlantis == nil {
		return
	}
	at := e.Atlantis.URL()
	e.checked("atlantis", "reachable")
	if err := e.Atlantis.Healthy(ctx); err != nil {
		e.add(Error, "atlantis", Finding{
			Check: "reachable", What: sentence(err), Why: "`locks unlock` goes through it, so that plans go too.", Mend: "curl -i " + at + "/healthz",
		})
		return
	}
	e.atlantisVersion(ctx)
	if e.status == nil {
		e.unknown("where Atlantis keeps its locks", "it does not tell, and no sidecar runs that could see whether it asks")
		return
	}
	e.atlantisLocks(ctx)
}

func (e *examination) atlantisVersion(ctx context.Context) {
	text, err := e.Atlantis.Version(ctx)
	major, minor, ok := parseVersion(text)
	if err != nil || !ok {
		e.unknown("the version of Atlantis", "it names none")
		return
	}
	e.checked("atlantis", "version")
	if major == firstMajor && minor < firstMinor {
		e.add(Warning, "atlantis", Finding{
			Check: "version", What: fmt.Sprintf("Atlantis is version %s, and the sidecar is tested from v%d.%d on", text, firstMajor, firstMinor),
			Why: "What it sends may not be known.", Mend: "Update Atlantis",
		})
	}
}

func parseVersion(text string) (major, minor int, ok bool) {
	found := regexp.MustCompile(`^v?(\d+)\.(\d+)`).FindStringSubmatch(text)
	if found == nil {
		return 0, 0, false
	}
	major, err := strconv.Atoi(found[1])
	minor, err2 := strconv.Atoi(found[2])
	return major, minor, err == nil && err2 == nil
}

// atlantisLocks lets Atlantis list its locks, and looks whether it asked here
// for them.
func (e *examination) atlantisLocks(ctx context.Context) {
	before, err := e.scans(ctx)
	if err != nil {
		e.unknown("where Atlantis keeps its locks", "the sidecar's metrics cannot be read: "+err.Error())
		return
	}
	n, err := e.Atlantis.Locks(ctx)
	if errors.Is(err, atlantisapi.ErrNoRoute) {
		e.unknown("where Atlantis keeps its locks", err.Error())
		return
	}
	e.checked("atlantis", "locks")
	if err != nil {
		e.add(Error, "atlantis", Finding{
			Check: "locks", What: "Atlantis cannot list its locks: " + err.Error(), Why: "Its page and its pull requests cannot either.", Mend: "Look at the log of Atlantis",
		})
		return
	}
	e.checked("atlantis", "locking database")
	if after, err := e.scans(ctx); err == nil && after == before {
		e.add(Error, "atlantis", Finding{
			Check: "locking database", What: fmt.Sprintf("Atlantis at %s listed %d locks and did not ask this sidecar for them", e.Atlantis.URL(), n),
			Why:  "Its locks are elsewhere: nothing here protects them.",
			Mend: "atlantis server --locking-db-type=redis" + redisFlags(e.Config.Sidecar.Listen) + "   # and restart it",
		})
	}
}

// redisFlags are those by which Atlantis finds the sidecar.
func redisFlags(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return " --redis-host=" + host + " --redis-port=" + port
}

// scans is how many listings the sidecar has answered.
func (e *examination) scans(ctx context.Context) (float64, error) {
	var page bytes.Buffer
	if err := e.Sidecar.Metrics(ctx, &page); err != nil {
		return 0, err
	}
	sum := 0.0
	for lines := bufio.NewScanner(&page); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "lock_sidecar_operations_total{") || !strings.Contains(name, `op="scan"`) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("read metrics: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// errorOf is why the enhanced store is not well.
func errorOf(s *client.Enhanced) string {
	if s == nil {
		return ""
	}
	return s.Error
}

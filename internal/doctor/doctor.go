// Package doctor looks at what a sidecar needs before it matters: its
// configuration, its files and their disk, Redis, Atlantis. It owns what is worth
// telling an operator, how bad it is, and the words of what is wrong, why it
// matters and how to mend it.
//
// It must not change anything. It works without a sidecar, from the
// configuration, and beside one, which it asks. What Redis should be like is
// redisstore's own knowledge, which readiness uses too. No value of a record and
// no secret is in a finding.
package doctor

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// How bad a finding is.
const (
	Error   = "error"   // locks are or would be lost or refused
	Warning = "warning" // better mended, and it works
)

// Finding is one thing that is wrong.
type Finding struct {
	Severity string `json:"severity"`
	Subject  string `json:"subject"` // configuration, files, redis, sidecar, atlantis
	Check    string `json:"check"`
	What     string `json:"what"`
	Why      string `json:"why"`
	Mend     string `json:"mend"` // a command of a shell, or a sentence
}

// Unknown is something that could not be looked at.
type Unknown struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Report is what was found.
type Report struct {
	Checked  []string  `json:"checked"` // what was looked at, "redis: eviction"
	Findings []Finding `json:"findings"`
	Unknown  []Unknown `json:"unknown"`
}

// Errors is how many findings are errors.
func (r Report) Errors() int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}

// Sidecar is one that runs. client.Client is one.
type Sidecar interface {
	Status(ctx context.Context) (client.Status, error)
	Backup(ctx context.Context, w io.Writer) (int64, error)
	Metrics(ctx context.Context, w io.Writer) error
}

// Redis is the enhanced store, as far as it is asked. redisstore.Store is one.
type Redis interface {
	Fitness(ctx context.Context) (redisstore.Fitness, error)
	Ownership(ctx context.Context) (redisstore.Ownership, error)
}

// Atlantis is Atlantis itself. atlantisapi.Client is one.
type Atlantis interface {
	URL() string
	Healthy(ctx context.Context) error
	Version(ctx context.Context) (string, error)
	Locks(ctx context.Context) (int, error)
}

// Options are what is looked at. Config is required.
type Options struct {
	Config   *config.Config
	Warnings []config.Finding // of loading it
	// Sidecar is the one that runs on this configuration; nil: none does. SidecarErr
	// is why one that listens does not answer.
	Sidecar    Sidecar
	SidecarErr error
	Redis      Redis             // nil: not used
	Server     redisstore.Server // how Redis is reached, where it is used
	Atlantis   Atlantis          // nil: no address is given
	Now        func() time.Time  // by which certificates are judged; nil: time.Now
}

// Examine looks at all of it, for as long as ctx allows.
func Examine(ctx context.Context, o Options) Report {
	e := &examination{Options: o}
	if e.Now == nil {
		e.Now = time.Now
	}
	e.configuration()
	e.sidecar(ctx)
	e.shown(ctx)
	e.files(ctx)
	e.redis(ctx)
	e.atlantis(ctx)
	slices.SortStableFunc(e.report.Findings, func(a, b Finding) int {
		if a.Severity == b.Severity {
			return 0
		}
		if a.Severity == Error {
			return -1
		}
		return 1
	})
	return e.report
}

// Invalid is the report on a configuration that cannot be used: nothing else
// can be looked at.
func Invalid(err *config.Error, warnings []config.Finding) Report {
	e := &examination{Options: Options{Warnings: warnings}}
	for _, f := range err.Findings {
		e.add(Error, "configuration", configured(f))
	}
	e.configuration()
	return e.report
}

// examination is one run.
type examination struct {
	Options
	report Report
	status *client.Status // of the sidecar; nil: none, or none was had
	// sound: atlantis.db is whole and nobody holds it, or there is none yet.
	sound bool
}

// checked notes that something was looked at.
func (e *examination) checked(subject string, checks ...string) {
	for _, check := range checks {
		e.report.Checked = append(e.report.Checked, subject+": "+check)
	}
}

func (e *examination) unknown(check, why string) {
	e.report.Unknown = append(e.report.Unknown, Unknown{check, why})
}

// add takes a finding whose severity and subject are given apart.
func (e *examination) add(severity, subject string, f Finding) {
	f.Severity, f.Subject = severity, subject
	e.report.Findings = append(e.report.Findings, f)
}

// configuration repeats what loading it had to say.
func (e *examination) configuration() {
	e.checked("configuration", "valid", "contradictions")
	for _, w := range e.Warnings {
		if w.Key == "redis.tls.insecure-skip-verify" && e.Redis != nil {
			continue // certificates says that
		}
		e.add(Warning, "configuration", configured(w))
	}
}

func configured(f config.Finding) Finding {
	where := f.Where
	if where != "" {
		where += ": "
	}
	mend := f.Hint
	if mend == "" {
		mend = "lock-sidecar config print   # says where each value comes from"
	}
	return Finding{Check: "contradictions", What: where + f.Text, Why: "serve does something else than was meant, or does not start.", Mend: mend}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// watchEvery is the pause between two looks of a watch.
const watchEvery = time.Second

// watcher shows a status as it changes.
type watcher struct {
	ask      func(context.Context) (client.Status, error)
	out      io.Writer
	asJSON   bool
	terminal bool
	timeout  time.Duration // of one look

	shown string // the last state, as far as it counts
}

// watch goes on until the end of ctx. A sidecar that is not there at first, or
// that wants another token, is an error; one that goes away meanwhile is a state.
func watch(ctx context.Context, w *watcher) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := w.look(ctx, first); err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *watcher) look(ctx context.Context, first bool) error {
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	s, err := w.ask(bounded)
	var gone *client.Unreachable
	switch {
	case ctx.Err() != nil: // Ctrl-C is no failure of the sidecar
		return nil
	case err != nil && (first || !errors.As(err, &gone)):
		return err
	case err != nil:
		return w.show(err.Error(), map[string]string{"error": err.Error()}, "NO ANSWER: "+gone.Err.Error())
	}
	return w.show(whatCounts(s), s, statusLine(s))
}

// whatCounts is a status without what changes with every command, as JSON.
func whatCounts(s client.Status) string {
	s.UptimeSeconds, s.Connections = 0, 0
	s.Comparisons, s.Divergences.Total, s.Verify = client.Comparisons{}, 0, nil
	s.Mirror.Pending, s.Mirror.Dirty, s.Mirror.LagSeconds = 0, min(s.Mirror.Dirty, 1), 0
	s.Backfill.Done, s.Backfill.Total = 0, 0
	s.Legacy.Records, s.Legacy.ByKind = 0, nil
	if s.Enhanced != nil {
		e := *s.Enhanced
		e.Records = nil
		s.Enhanced = &e
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it came as JSON
	}
	return string(text)
}

// show writes a state: on a terminal always, in the place of the last one, else
// if it is another.
func (w *watcher) show(state string, document any, line string) error {
	changed := state != w.shown
	w.shown = state
	now := utc(time.Now())
	switch {
	case w.terminal && !w.asJSON:
		text := now + "\n"
		for part := range strings.SplitSeq(line, " · ") {
			text += indented(part, 0)
		}
		// Home, the lines, each cleared to its end, and whatever was below.
		return printf(w.out, "\x1b[H%s\x1b[J", strings.ReplaceAll(text, "\n", "\x1b[K\n"))
	case !changed:
		return nil
	case w.asJSON:
		text, err := json.Marshal(document)
		if err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
		return printf(w.out, "%s\n", text)
	}
	return printf(w.out, "%s %s\n", now, line)
}

package main

import (
	"fmt"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// storesText is how both stores do and what their comparison says, with the
// reason for everything that is not as it should be.
func storesText(s client.Status) []string {
	if s.Mode == "enhanced" {
		return []string{authorityText(s.Enhanced), "legacy retired"}
	}
	if legacyAnswers(s) {
		return []string{enhancedText(s), comparisonsText(s)}
	}
	enhanced := authorityText(s.Enhanced)
	if s.Mode == "hybrid" {
		enhanced = enhancedText(s)
	}
	return []string{enhanced, standbyText(s), comparisonsText(s)}
}

// authorityText is how the enhanced store does where it answers.
func authorityText(e *client.Enhanced) string {
	switch {
	case e.AwaySince != nil:
		return e.Kind + " AWAY" + sinceText(e.AwaySince) + ": " + e.Error
	case e.Error != "":
		return e.Kind + " NOT healthy: " + e.Error
	}
	return e.Kind + " healthy"
}

// standbyText is whether legacy could take over.
func standbyText(s client.Status) string {
	text := "legacy "
	switch {
	case !s.Legacy.Healthy && s.Down == "" && !answered(s): // answersText says why
		text += "NOT HEALTHY"
	case !s.Legacy.Healthy:
		text += "NOT HEALTHY: " + s.Legacy.Error
	case !s.Legacy.Whole:
		text += "NOT WHOLE"
		if s.Backfill.State == "running" {
			text += ", catching up " + thousands(s.Backfill.Done) + "/" + thousands(s.Backfill.Total)
		} else if s.Legacy.Error != "" {
			text += ": " + s.Legacy.Error
		}
	default:
		text += "whole"
	}
	if s.SafeFallback {
		text += ", safe fallback"
	}
	return text // answersText says if there is none
}

// enhancedText is how the follower does, with the reason for everything that
// keeps it from being in step.
func enhancedText(s client.Status) string {
	e, dirty := s.Enhanced, thousands(s.Mirror.Dirty)+" "+oneOrMany(s.Mirror.Dirty, "key", "keys")+" dirty"
	lacks := s.Mode != "hybrid" || !e.Healthy // there what is not in step may be legacy
	text := "enhanced " + e.Kind + " "
	switch {
	case e.AwaySince != nil:
		text += "AWAY" + sinceText(e.AwaySince) + ": " + e.Error
		if s.Mirror.Dirty > 0 {
			text += ", " + dirty
		}
		if e.Breaker != "closed" {
			text += ", breaker " + e.Breaker
		}
	case s.Backfill.State == "running" && lacks:
		text += "catching up " + thousands(s.Backfill.Done) + "/" + thousands(s.Backfill.Total)
	case e.Error != "":
		text += "NOT in step: " + e.Error + ", " + dirty
	case s.Mirror.Dirty > 0 && lacks:
		text += "catching up, " + dirty
	case s.Mirror.Pending > 0:
		text += fmt.Sprintf("in step, %s behind by %.1fs", plural(s.Mirror.Pending, "change", "changes"), s.Mirror.LagSeconds)
	default:
		text += "in step"
	}
	return text
}

func comparisonsText(s client.Status) string {
	c := s.Comparisons
	text := thousands(c.Match+c.Mismatch) + " compared, " + thousands(c.Mismatch) + " different"
	if c.Ignored > 0 {
		text += ", " + thousands(c.Ignored) + " ignored"
	}
	return text
}

// recordsText is what there is, in the store that Atlantis could go on with.
func recordsText(s client.Status) []string {
	if s.Mode == "enhanced" || s.Shared { // atlantis.db is empty, or not kept up to date
		if s.Enhanced != nil && s.Enhanced.Records != nil {
			return []string{plural(*s.Enhanced.Records, "record", "records")}
		}
		return nil
	}
	var parts []string
	if s.Legacy.ByKind != nil {
		parts = append(parts, countsText(*s.Legacy.ByKind))
	}
	switch {
	case s.Enhanced != nil && !legacyAnswers(s): // standbyText says it
	case s.Legacy.Whole:
		parts = append(parts, "atlantis.db whole")
	default:
		parts = append(parts, "atlantis.db NOT WHOLE")
	}
	return parts
}

func countsText(c client.Counts) string {
	return strings.Join([]string{
		plural(c.ProjectLocks, "lock", "locks"),
		plural(c.CommandLocks, "command lock", "command locks"),
		plural(c.PullStatuses, "pull status", "pull statuses"),
	}, ", ")
}

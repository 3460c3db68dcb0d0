// Package demo tells the story of shadow mode on a sidecar that runs: a team of
// pull requests works, somebody makes the enhanced store wrong, verify finds
// it, repair heals it. Read story.go first, then its chapters: work.go,
// tamper.go, closing.go. The team is in team.go and lives.go, and what an
// Atlantis sends for it in atlantis.go.
//
// Every number that it prints it got from the sidecar, in the ways that a user
// has, or counted itself; nothing is prepared. It must not know how a sidecar
// is put together.
package demo

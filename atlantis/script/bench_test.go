package script_test

import (
	"context"
	"testing"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// BenchmarkUnlock measures one run of Atlantis's script, compiled once.
func BenchmarkUnlock(b *testing.B) {
	p := compile(b, script.Limits{}, unlockScript)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Run(context.Background(), []string{"k"}, []string{"13"}, memory{"k": lockOf12}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile measures what the first EVAL of a source costs.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := script.Compile(unlockScript); err != nil {
			b.Fatal(err)
		}
	}
}

//go:build torture

package torture_test

// release is how a group of Atlantis versions speaks.
type release struct {
	name string
	old  bool  // lock keys without the project's name, as before v0.40
	boot []any // how it lists all locks when it boots
	eval bool  // a plan gives up its locks by a script, as since v0.46
}

// releases are the groups that differ on the wire.
func releases() []release {
	return []release{
		{name: "v0.22", old: true},
		{name: "v0.39", old: true},
		{name: "v0.40", boot: []any{"KEYS", "pr/*"}},
		{name: "v0.45", boot: []any{"SCAN", "0", "MATCH", "pr/*"}},
		{name: "v0.47", boot: []any{"SCAN", "0", "MATCH", "pr/*"}, eval: true},
	}
}

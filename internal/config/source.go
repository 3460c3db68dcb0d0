package config

// Level is where a value comes from. A higher level wins.
type Level int

// The levels, lowest first. LevelSecretFile is a secret that was read from the
// file that its *-file key names.
const (
	LevelDefault Level = iota
	LevelFile
	LevelEnv
	LevelFlag
	LevelSecretFile
)

// String names the level as [Source.String] does.
func (l Level) String() string {
	return [...]string{"default", "file", "env", "flag", "secret file"}[l]
}

// Source is where one value comes from. The zero value is the default.
type Source struct {
	Level Level
	Name  string // file:line, variable, --flag, or path; empty for the default
}

// String is for the comments of [Config.Print].
func (s Source) String() string {
	if s.Name == "" {
		return s.Level.String()
	}
	return s.Level.String() + " " + s.Name
}

// Source tells where the value of a key comes from. A path that is no key has
// the zero Source.
func (c *Config) Source(path string) Source { return c.sources[path] }

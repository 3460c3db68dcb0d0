package resp

const (
	// firstArgs and firstBulk bound a command of a connection that has not
	// proven itself; Redis has the same numbers for clients before AUTH.
	firstArgs = 10
	firstBulk = 16 << 10

	// maxRedisBulk is Redis's own limit (proto-max-bulk-len): a longer word is
	// an invalid length, not merely too early.
	maxRedisBulk = 512 << 20

	// freeBytes is what one command may hold without asking the budget.
	freeBytes = 4 << 10
	// keptBytes is the largest buffer that a connection keeps between commands.
	keptBytes = 4 << 10
	// argBytes is what one word costs beside its bytes: its slice and its end.
	argBytes = 24 + 8
)

// limits is what one command may be.
type limits struct {
	args    int64 // words
	bulk    int64 // bytes of one word
	command int64 // bytes of all words
	inline  int   // bytes of an inline command
	proven  bool  // the connection has completed a command
}

// fullLimits are for connections that have completed a command.
func (o Options) fullLimits() limits {
	return limits{args: int64(o.MaxArgs), bulk: o.MaxBulk, command: 2 * o.MaxBulk, inline: o.MaxInline, proven: true}
}

// firstLimits are for connections that have not.
func (o Options) firstLimits() limits {
	return limits{
		args:    min(firstArgs, int64(o.MaxArgs)),
		bulk:    min(firstBulk, o.MaxBulk),
		command: min(firstArgs*firstBulk, 2*o.MaxBulk),
		inline:  min(firstBulk, o.MaxInline),
	}
}

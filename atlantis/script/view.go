package script

// View is what a script sees and changes: the keys it declared, as they were when it began plus its own writes. It is
// used from the goroutine of Run only. The slices it returns are not kept; the ones it is given are its own.
//
// An error ends the run and comes out of Run, whatever pcall the script uses, unless it is a CommandError.
type View interface {
	// Get returns the value of key, or false if it does not exist.
	Get(key string) (value []byte, ok bool, err error)
	// Set stores value under key.
	Set(key string, value []byte) error
	// Del removes key and reports whether it existed.
	Del(key string) (bool, error)
}

// CommandError is an error reply of one command, such as "LOCKED held by pull #12". redis.call raises it and
// redis.pcall returns it, as those of Redis's own commands. It begins with a code in capitals.
type CommandError string

func (e CommandError) Error() string { return string(e) }

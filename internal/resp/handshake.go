package resp

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// redisVersion is what HELLO says. Clients choose what to send by it, and 7.0
	// knows nothing of CLIENT SETINFO and later.
	redisVersion = "7.0.15"
	databases    = 16
	maxName      = 256 // bytes; names stay in memory as long as their connection

	noAuth    = "NOAUTH Authentication required."
	wrongPass = "WRONGPASS invalid username-password pair or user is disabled."
)

// command is one that the server answers itself.
type command struct {
	verb   string
	arity  int // words, the verb included; -n is n or more
	noAuth bool
	run    func(c *Conn, args [][]byte)
}

// lookUp finds the connection command of that verb, in any case.
func lookUp(verb []byte) (command, bool) {
	var lower [8]byte
	if len(verb) > len(lower) {
		return command{}, false
	}
	for i, b := range verb {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	switch string(lower[:len(verb)]) {
	case "hello":
		return command{"hello", -1, true, (*Conn).hello}, true
	case "auth":
		return command{"auth", -2, true, (*Conn).auth}, true
	case "quit":
		return command{"quit", -1, true, (*Conn).bye}, true
	case "reset":
		return command{"reset", 1, true, (*Conn).reset}, true
	case "ping":
		return command{"ping", -1, false, (*Conn).ping}, true
	case "echo":
		return command{"echo", 2, false, (*Conn).echo}, true
	case "select":
		return command{"select", 2, false, (*Conn).selectDB}, true
	case "client":
		return command{"client", -2, false, (*Conn).client}, true
	case "command":
		return command{"command", -1, false, (*Conn).command}, true
	case "cluster":
		return command{"cluster", -2, false, (*Conn).cluster}, true
	}
	return command{}, false
}

// connectionCommand answers a command that is ours. Redis checks in this order.
func (c *Conn) connectionCommand(cmd command, args [][]byte) {
	switch {
	case !fits(cmd.arity, len(args)):
		c.wrongArity(cmd.verb)
	case !c.authed && !cmd.noAuth:
		c.out.Error(noAuth)
	default:
		cmd.run(c, args)
	}
}

func fits(arity, words int) bool {
	return words == arity || arity < 0 && words >= -arity
}

func (c *Conn) wrongArity(verb string) {
	c.out.Error("ERR wrong number of arguments for '" + verb + "' command")
}

// crossProtocol reports a browser that was tricked into talking to us: as in
// Redis it gets no answer, nor do the lines that follow.
func crossProtocol(verb []byte) bool {
	return bytes.EqualFold(verb, []byte("post")) || bytes.EqualFold(verb, []byte("host:"))
}

// hello answers HELLO [version [AUTH user password] [SETNAME name]].
func (c *Conn) hello(args [][]byte) {
	proto := c.out.proto
	if len(args) > 1 {
		n, err := strconv.ParseInt(string(args[1]), 10, 64)
		switch {
		case err != nil:
			c.out.Error("ERR Protocol version is not an integer or out of range")
			return
		case n < 2 || n > 3:
			c.out.Error("NOPROTO unsupported protocol version")
			return
		}
		proto = int(n)
		if problem := c.helloOptions(args[2:]); problem != "" {
			c.out.Error(problem)
			return
		}
	}
	if !c.authed {
		c.out.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.out.proto = proto
	c.out.Map(7)
	for _, field := range [...][2]string{{"server", "redis"}, {"version", redisVersion}} {
		c.out.BulkString(field[0])
		c.out.BulkString(field[1])
	}
	c.out.BulkString("proto")
	c.out.Int(int64(proto))
	c.out.BulkString("id")
	c.out.Int(int64(c.id))
	for _, field := range [...][2]string{{"mode", "standalone"}, {"role", "master"}} {
		c.out.BulkString(field[0])
		c.out.BulkString(field[1])
	}
	c.out.BulkString("modules")
	c.out.Array(0)
}

// helloOptions applies them in order, as Redis does, and returns the error that
// stops it.
func (c *Conn) helloOptions(options [][]byte) (problem string) {
	for len(options) > 0 {
		switch name := strings.ToLower(string(options[0])); {
		case name == "auth" && len(options) >= 3:
			if !c.authenticate(options[1], options[2]) {
				return wrongPass
			}
			options = options[3:]
		case name == "setname" && len(options) >= 2:
			if problem := c.setName(options[1]); problem != "" {
				return problem
			}
			options = options[2:]
		default:
			return fmt.Sprintf("ERR Syntax error in HELLO option '%.128s'", options[0])
		}
	}
	return ""
}

// auth answers AUTH [user] password.
func (c *Conn) auth(args [][]byte) {
	user := []byte("default")
	switch len(args) {
	case 2:
	case 3:
		user = args[1]
	default:
		c.out.Error("ERR syntax error")
		return
	}
	if !c.authenticate(user, args[len(args)-1]) {
		c.out.Error(wrongPass)
		return
	}
	c.out.Simple("OK")
}

// authenticate takes the same time whatever is wrong. A failure does not undo an
// earlier success, as in Redis.
func (c *Conn) authenticate(user, password []byte) bool {
	o := &c.server.options
	if o.Password == "" {
		return true
	}
	if equal([]byte(o.Username), user)&equal([]byte(o.Password), password) != 1 {
		c.server.complaints.warn("authentication failed", "connection", c.id, "remote", c.RemoteAddr())
		return false
	}
	c.authed = true
	return true
}

// equal is 1 if a and b are, in constant time: hashes do not tell a length either.
func equal(a, b []byte) int {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// bye answers QUIT; what came behind it is not read.
func (c *Conn) bye([][]byte) {
	c.out.Simple("OK")
	c.quit = true
}

// reset makes the connection new: with a password it must prove itself again.
func (c *Conn) reset([][]byte) {
	c.db, c.name, c.out.proto = 0, "", 2
	if c.server.options.Password != "" {
		c.authed, c.proven = false, false
		c.proveBy = time.Now().Add(c.server.options.HandshakeTimeout)
	}
	c.out.Simple("RESET")
}

func (c *Conn) ping(args [][]byte) {
	switch len(args) {
	case 1:
		c.out.Simple("PONG")
	case 2:
		c.out.Bulk(args[1])
	default:
		c.wrongArity("ping")
	}
}

func (c *Conn) echo(args [][]byte) { c.out.Bulk(args[1]) }

// selectDB accepts every database, and all of them are the same.
func (c *Conn) selectDB(args [][]byte) {
	n, err := strconv.ParseInt(string(args[1]), 10, 64)
	switch {
	case err != nil:
		c.out.Error("ERR value is not an integer or out of range")
	case n < 0 || n >= databases:
		c.out.Error("ERR DB index is out of range")
	default:
		c.db = int(n)
		c.out.Simple("OK")
	}
}

func (c *Conn) cluster([][]byte) {
	c.out.Error("ERR This instance has cluster support disabled")
}

package resp

import (
	"fmt"
	"strings"
	"time"
)

// client answers CLIENT, with the subcommands that clients send unasked.
func (c *Conn) client(args [][]byte) {
	sub := strings.ToLower(string(args[1]))
	arity := 2
	switch sub {
	case "setname":
		arity = 3
	case "list":
		arity = -2
	case "id", "getname", "info":
	default:
		c.unknownSubcommand("CLIENT", args[1])
		return
	}
	if !fits(arity, len(args)) {
		c.wrongArity("client|" + sub)
		return
	}
	switch sub {
	case "id":
		c.out.Int(int64(c.id))
	case "getname":
		if c.name == "" {
			c.out.Null()
			return
		}
		c.out.BulkString(c.name)
	case "setname":
		if problem := c.setName(args[2]); problem != "" {
			c.out.Error(problem)
			return
		}
		c.out.Simple("OK")
	case "info", "list": // nobody sees more than itself
		c.out.BulkString(c.describe())
	}
}

// setName keeps the name of the connection, or returns the error that Redis gives.
func (c *Conn) setName(name []byte) (problem string) {
	if len(name) > maxName {
		return fmt.Sprintf("ERR Client names cannot be longer than %d bytes.", maxName)
	}
	for _, b := range name {
		if b < '!' || b > '~' {
			return "ERR Client names cannot contain spaces, newlines or special characters."
		}
	}
	c.name = string(name)
	return ""
}

// describe is the line of this connection in CLIENT LIST, without what we do not have.
func (c *Conn) describe() string {
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=0 flags=N db=%d cmd=client user=default resp=%d\n",
		c.id, c.RemoteAddr(), c.raw.LocalAddr(), c.name, int(time.Since(c.born).Seconds()), c.db, c.out.proto)
}

// command answers COMMAND as a server without commands: redis-cli asks for hints.
func (c *Conn) command(args [][]byte) {
	if len(args) == 1 {
		c.out.Array(0)
		return
	}
	switch strings.ToLower(string(args[1])) {
	case "count":
		c.out.Int(0)
	case "docs":
		c.out.Map(0)
	case "list":
		c.out.Array(0)
	case "info":
		c.out.Array(len(args) - 2)
		for range args[2:] {
			c.out.Null()
		}
	default:
		c.unknownSubcommand("COMMAND", args[1])
	}
}

func (c *Conn) unknownSubcommand(verb string, sub []byte) {
	c.out.Error(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", sub, verb))
}

package resp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

const (
	hello2 = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:%d\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
	hello3 = "%%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:%d\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"

	badName    = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
	noAuth     = "-NOAUTH Authentication required.\r\n"
	noHello    = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n"
	wrongPass  = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	noCluster  = "-ERR This instance has cluster support disabled\r\n"
	wrongArity = "-ERR wrong number of arguments for '%s' command\r\n"
)

// Connection commands answer as Redis 7.0.15 does, each on a fresh connection.
func TestConnectionCommandsAnswerAsRedis(t *testing.T) {
	arity := func(verb string) string { return fmt.Sprintf(wrongArity, verb) }
	cases := []struct{ send, want string }{ // {id} is the connection
		{"HELLO", "{2}"},
		{"HELLO 2", "{2}"},
		{"hello 3", "{3}"},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
		{"HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
		{"HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
		{"HELLO 3 AUTH default x", "{3}"},
		{"HELLO 3 auth bob x setname me\r\nCLIENT GETNAME", "{3}$2\r\nme\r\n"},
		{"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
		{"HELLO 3 SETNAME \"a b\"", badName},
		{"HELLO 3\r\nGET k\r\nHELLO 2\r\nGET k", "{3}_\r\n{2}$-1\r\n"},
		{"AUTH", arity("auth")},
		{"AUTH x", "+OK\r\n"},
		{"AUTH bob x", "+OK\r\n"},
		{"AUTH a b c", "-ERR syntax error\r\n"},
		{"SELECT", arity("select")},
		{"SELECT 0\r\nSELECT 15", "+OK\r\n+OK\r\n"},
		{"SELECT 16\r\nSELECT -1", "-ERR DB index is out of range\r\n-ERR DB index is out of range\r\n"},
		{"SELECT x", "-ERR value is not an integer or out of range\r\n"},
		{"ping", "+PONG\r\n"},
		{"PING a", "$1\r\na\r\n"},
		{"PING a b", arity("ping")},
		{"ECHO", arity("echo")},
		{"ECHO hi", "$2\r\nhi\r\n"},
		{"RESET x", arity("reset")},
		{"HELLO 3\r\nRESET\r\nGET k", "{3}+RESET\r\n$-1\r\n"},
		{"COMMAND", "*0\r\n"},
		{"COMMAND COUNT", ":0\r\n"},
		{"COMMAND LIST", "*0\r\n"},
		{"COMMAND DOCS get", "*0\r\n"},
		{"HELLO 3\r\nCOMMAND DOCS", "{3}%0\r\n"},
		{"COMMAND INFO a b", "*2\r\n$-1\r\n$-1\r\n"},
		{"COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n"},
		{"CLIENT", arity("client")},
		{"CLIENT setinfo LIB-NAME x", "-ERR unknown subcommand 'setinfo'. Try CLIENT HELP.\r\n"},
		{"client MAINT_NOTIFICATIONS on", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
		{"CLIENT ID", ":{id}\r\n"},
		{"CLIENT ID x", arity("client|id")},
		{"CLIENT GETNAME", "$-1\r\n"},
		{"HELLO 3\r\nCLIENT GETNAME", "{3}_\r\n"},
		{"CLIENT SETNAME a\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"\"\r\nCLIENT GETNAME", "+OK\r\n$1\r\na\r\n+OK\r\n$-1\r\n"},
		{"CLIENT SETNAME \"a\\n\"", badName},
		{"CLIENT SETNAME " + strings.Repeat("n", 257), "-ERR Client names cannot be longer than 256 bytes.\r\n"},
		{"CLIENT SETNAME", arity("client|setname")},
		{"CLUSTER SLOTS", noCluster},
		{"CLUSTER", arity("cluster")},
	}
	server := start(t, resp.Options{})
	for i, c := range cases {
		t.Run(c.send, func(t *testing.T) {
			want := strings.NewReplacer(
				"{2}", fmt.Sprintf(hello2, i+1), "{3}", fmt.Sprintf(hello3, i+1), "{id}", fmt.Sprint(i+1),
			).Replace(c.want)
			server.dial(t).ask(c.send+"\r\nECHO end\r\n", want+"$3\r\nend\r\n")
		})
	}
}

// CLIENT INFO and LIST name the connection that asks.
func TestClientInfoDescribesTheConnection(t *testing.T) {
	server := start(t, resp.Options{})
	for _, verb := range []string{"INFO", "LIST"} {
		p := server.dial(t)
		p.send("CLIENT SETNAME me\r\nSELECT 3\r\nCLIENT " + verb + "\r\nQUIT\r\n")
		answer := new(bytes.Buffer)
		_, err := answer.ReadFrom(p)
		require.NoError(t, err)
		require.Contains(t, answer.String(), "addr="+p.LocalAddr().String()+" laddr="+server.addr+" name=me ")
		require.Contains(t, answer.String(), " db=3 ")
	}
}

// QUIT is answered, ends the connection, and drops what came behind it.
func TestQuitAnswersAndCloses(t *testing.T) {
	server := start(t, resp.Options{})
	p := server.dial(t)
	p.send("PING\r\nQUIT\r\nPING\r\n")
	p.wantEnd("+PONG\r\n+OK\r\n")
}

// With a password nothing but the handshake is answered before AUTH, as in Redis,
// also with a name for the user.
func TestPasswordIsRequired(t *testing.T) {
	cases := []struct{ username, send, want string }{
		{"", "PING\r\nGET k\r\nCLUSTER SLOTS\r\nCOMMAND DOCS\r\nCLIENT ID", strings.Repeat(noAuth, 5)},
		{"", "CLIENT", fmt.Sprintf(wrongArity, "client")},
		{"", "HELLO\r\nHELLO 3", noHello + noHello},
		{"", "HELLO 9", "-NOPROTO unsupported protocol version\r\n"},
		{"", "HELLO 3 AUTH default x", wrongPass},
		{"", "HELLO 3 AUTH bob sesame", wrongPass},
		{"", "HELLO 2 AUTH default sesame\r\nPING", "{2}+PONG\r\n"},
		{"", "HELLO 3 AUTH default sesame SETNAME \"a b\"\r\nPING", badName + "+PONG\r\n"},
		{"", "AUTH x\r\nAUTH sesam\r\nAUTH sesamee\r\nAUTH \"\"", strings.Repeat(wrongPass, 4)},
		{"", "AUTH sesame\r\nAUTH x\r\nGET k", "+OK\r\n" + wrongPass + "$-1\r\n"},
		{"", "AUTH default sesame\r\nRESET\r\nPING\r\nAUTH sesame\r\nPING", "+OK\r\n+RESET\r\n" + noAuth + "+OK\r\n+PONG\r\n"},
		{"bob", "AUTH sesame\r\nAUTH default sesame\r\nAUTH bob x", strings.Repeat(wrongPass, 3)},
		{"bob", "AUTH bob sesame\r\nPING", "+OK\r\n+PONG\r\n"},
		{"", "QUIT", "+OK\r\n"},
		{"", "*11", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		{"", "*10\r\n$16385", "-ERR Protocol error: unauthenticated bulk length\r\n"},
	}
	for _, c := range cases {
		t.Run(c.send, func(t *testing.T) {
			server := start(t, resp.Options{Username: c.username, Password: "sesame"})
			p := server.dial(t)
			p.send(c.send + "\r\n")
			want := strings.NewReplacer("{2}", fmt.Sprintf(hello2, 1)).Replace(c.want)
			p.want(want)
			require.NoError(t, p.closeWrite())
			p.wantEnd("")
		})
	}
}

// A refused password makes a line in the log; no password, and no value, is in it.
func TestLogHoldsNoPasswordAndNoValue(t *testing.T) {
	log := new(lockedBuffer)
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: log})
	server := start(t, resp.Options{Password: "sesame-right", Logger: logger})
	p := server.dial(t)
	p.ask("AUTH token-wrong\r\n", wrongPass)
	p.ask("HELLO 3 AUTH default token-wrong\r\n", wrongPass)
	p.ask("AUTH sesame-right\r\n", "+OK\r\n")
	p.ask("SET k token-value\r\nGET k\r\n", "+OK\r\n$11\r\ntoken-value\r\n")
	p.send("boom token-value\r\n")
	p.wantEnd("-ERR internal error, the outcome of this command is unknown\r\n")
	p = server.dial(t)
	p.send("\"token-quoted\"x\r\n")
	p.wantEnd("-ERR Protocol error: unbalanced quotes in request\r\n")

	require.Contains(t, log.String(), "authentication failed")
	require.NotContains(t, log.String(), "token-")
	require.NotContains(t, log.String(), "sesame")
}

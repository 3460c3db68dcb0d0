package resp

import "errors"

// Why a connection ends. The replies are those of Redis 7.0 where Redis refuses the
// same; it knows nothing of a budget, a too big command, bulk ends, NULs and TLS hellos.
var (
	errDraining   = errors.New("server is shutting down")
	errTimeout    = errors.New("deadline passed")
	errOverBudget = &refusal{reason: "memory", reply: "TRYAGAIN server busy: too many bytes of commands in flight"}

	errArgCount      = protocolError("invalid multibulk length")
	errArgCountFirst = protocolError("unauthenticated multibulk length")
	errArgCountLine  = protocolError("too big mbulk count string")
	errBulkSize      = protocolError("invalid bulk length")
	errBulkSizeFirst = protocolError("unauthenticated bulk length")
	errBulkSizeLine  = protocolError("too big bulk count string")
	errCommandSize   = protocolError("too big command")
	errBulkEnd       = protocolError("expected CRLF after bulk string")
	errInlineSize    = protocolError("too big inline request")
	errInlineQuotes  = protocolError("unbalanced quotes in request")
	errInlineNUL     = protocolError("NUL byte in inline request")
	errPlainPort     = protocolError("TLS handshake on a port without TLS")
)

// refusal is an error that the client is told before its connection is closed.
type refusal struct {
	reason string // label of the metric
	reply  string
	echo   string // what Redis appends of the client's own bytes; not for the log
}

func (r *refusal) Error() string { return r.reply }

func protocolError(text string) *refusal {
	return &refusal{reason: "protocol", reply: "ERR Protocol error: " + text}
}

// errNoBulk says what stands where a word should begin.
func errNoBulk(got byte) *refusal {
	r := protocolError("expected '$'")
	r.echo = ", got '" + string([]byte{got}) + "'"
	return r
}

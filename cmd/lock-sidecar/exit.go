package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// The exit codes of every command.
const (
	codeDone    = 0 // warnings too
	codeNo      = 1 // the answer is no
	codeUsage   = 2 // usage or configuration
	codeFailed  = 3 // cannot reach, bind, open or write
	codeRefused = 4 // by a guard
)

// exitError is an error that chooses the exit code. Without err nothing is
// printed: the output has said it.
type exitError struct {
	code int
	err  error
}

func exit(code int, err error) error { return &exitError{code, err} }

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var (
		chosen       *exitError
		invalid      *config.Error
		notReady     *client.NotReady
		unauthorized *client.Unauthorized
		refused      *client.Refused
	)
	switch {
	case errors.As(err, &chosen):
		return chosen.code
	case errors.As(err, &invalid):
		return codeUsage
	case errors.As(err, &notReady):
		return codeNo
	case errors.As(err, &unauthorized):
		return codeRefused
	case errors.As(err, &refused) && (refused.Code == client.CodeGuard || refused.Code == client.CodeConflict):
		return codeRefused
	}
	return codeFailed
}

// printf writes to the output of a command. Output that is lost is a failure.
func printf(w io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		return exit(codeFailed, fmt.Errorf("write output: %w", err))
	}
	return nil
}

// printJSON writes a document for people and for programs.
func printJSON(w io.Writer, document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return printf(w, "%s\n", text)
}

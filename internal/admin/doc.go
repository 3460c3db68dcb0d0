// Package admin is the HTTP side of the sidecar: health, metrics and the admin
// API. It owns what HTTP is: routes, methods, the token, limits, headers, and
// the form of errors.
//
// It must not decide anything and must not know a store: it asks a [Sidecar].
// No answer but a backup, and an export that was asked for them, holds the value
// of a record, and none the token.
package admin

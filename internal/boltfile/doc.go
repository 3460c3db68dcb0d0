// Package boltfile opens BoltDB files so that nothing that is wrong with one
// ends the process, hangs it, or is made worse: a file is made whole or not at
// all, checked before bbolt maps it, and damage met later is an error. It owns
// the file as such and knows nothing of what is in it, nor what an operator
// should do about an error.
package boltfile

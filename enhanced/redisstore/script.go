package redisstore

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
)

//go:embed lua/*.lua
var sources embed.FS

// script is a Lua script and the name by which Redis caches it.
type script struct{ text, hash string }

// scripts are the only way in which the store reads and writes.
type scripts struct {
	get, index, records, apply, raise, admit script // check the head first
	peek, take, claim                        script // of a join: decide who has the head
	mode, setMode                            script // the document of the mode, which no head guards
}

func loadScripts() scripts {
	return scripts{
		get:     load("head", "check", "get"),
		index:   load("head", "check", "index"),
		records: load("head", "check", "records"),
		apply:   load("head", "check", "apply"),
		raise:   load("head", "check", "raise"),
		admit:   load("head", "check", "admit"),
		peek:    load("head", "peek"),
		take:    load("head", "take"),
		claim:   load("head", "claim"),
		mode:    load("readmode", "mode"),
		setMode: load("readmode", "setmode"),
	}
}

// load joins embedded files to one script. It panics on a name that was not
// compiled in.
func load(names ...string) script {
	text := ""
	for _, name := range names {
		file, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err)
		}
		text += string(file)
	}
	sum := sha1.Sum([]byte(text)) // what EVALSHA wants
	return script{text, hex.EncodeToString(sum[:])}
}

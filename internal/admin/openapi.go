package admin

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// call is what programs are told of one method of one path.
type call struct {
	summary string
	answer  any    // the zero value of its type; nil: kind says what it is
	kind    string // of an answer that is no JSON
	status  int    // of success; 0 is 200
	body    any    // the zero value of its type; nil: none
	input   string // kind of a body that is no JSON
	query   []parameter
	open    bool // needs no token
}

// parameter is one of the query.
type parameter struct {
	name, meaning string
	schema        object
	required      bool
}

// object is a piece of the document.
type object map[string]any

// What bodies and answers are that are no JSON.
const (
	kindText  = "text/plain; charset=utf-8"
	kindLines = "application/x-ndjson"
	kindBytes = "application/octet-stream"
)

// calls describes every route: what is missing here, or here and not served,
// fails a test.
func calls() map[string]call {
	flag := func(name, meaning string) parameter {
		return parameter{name: name, meaning: meaning, schema: object{"type": "string", "enum": []string{"0", "1"}}}
	}
	text := func(name, meaning string) parameter {
		return parameter{name: name, meaning: meaning, schema: object{"type": "string"}}
	}
	whole := func(name, meaning string, least, most int) parameter {
		return parameter{name: name, meaning: meaning, schema: object{"type": "integer", "minimum": least, "maximum": most}}
	}
	reason := text("reason", "for those who read the audit log")
	type stopping struct {
		Stopping bool `json:"stopping"`
	}
	return map[string]call{
		"GET /":                    {summary: "What this is, for people", kind: kindText, open: true},
		"GET /livez":               {summary: "The process lives", kind: kindText, open: true},
		"GET /startupz":            {summary: "The start is over; else 503 and what it waits for", kind: kindText, open: true},
		"GET /readyz":              {summary: "Atlantis is answered; else 503 and why not", kind: kindText, open: true},
		"GET /metrics":             {summary: "Metrics for Prometheus", kind: "text/plain", open: true},
		"GET /api/v1/openapi.json": {summary: "This document", answer: map[string]any{}, open: true},
		"GET /api/v1/status":       {summary: "How the sidecar does", answer: client.Status{}},
		"POST /api/v1/shutdown":    {summary: "End the process in order", answer: stopping{}, status: http.StatusAccepted},
		"GET /api/v1/backup":       {summary: "A copy of atlantis.db, ended by the trailer " + client.SizeTrailer + ". It holds every value: a secret", kind: kindBytes},
		"POST /api/v1/verify":      {summary: "Compare all records of both stores", answer: client.Verdict{}, body: client.VerifyRequest{}},
		"POST /api/v1/repair":      {summary: "Compare, and make equal what differs", answer: client.Verdict{}, body: client.RepairRequest{}},
		"GET /api/v1/divergences":  {summary: "What was found to differ, newest first", answer: client.DivergenceList{}},
		"POST /api/v1/backfill":    {summary: "Begin to make every record equal", answer: client.Backfill{}, status: http.StatusAccepted},
		"GET /api/v1/mode":         {summary: "Who answers", answer: client.ModeState{}},
		"POST /api/v1/mode":        {summary: "Change who answers; 409 lists what is unmet", answer: client.ModeResult{}, body: client.ModeRequest{}},
		"GET /api/v1/readiness":    {summary: "The checklist before the next mode", answer: client.Readiness{}},
		"POST /api/v1/fallback":    {summary: "Let legacy answer for all routes", answer: client.ModeResult{}, body: client.FallbackRequest{}},
		"POST /api/v1/return":      {summary: "End a fallback", answer: client.ModeResult{}, body: client.ReturnRequest{}},
		"GET /api/v1/conflicts":    {summary: "Locks with different holders after a fallback", answer: client.ConflictList{}},
		"POST /api/v1/conflicts/{id}": {
			summary: "Decide one", answer: struct{}{}, body: client.ConflictResolution{}},
		"POST /api/v1/drill/rollback": {summary: "Could Atlantis go on with atlantis.db now?", answer: client.RollbackDrill{}, body: struct{}{}},
		"POST /api/v1/drill/outage":   {summary: "Cut the enhanced store off for a while, and watch", answer: client.OutageDrill{}, body: client.OutageRequest{}},
		"POST /api/v1/admit":          {summary: "Let another sidecar use the enhanced store", answer: client.Admitted{}, body: client.AdmitRequest{}},
		"GET /api/v1/audit":           {summary: "Who did what, and why, newest first", answer: client.AuditList{}, query: []parameter{whole("n", "how many acts", 1, maxActs)}},
		"GET /api/v1/export": {
			summary: "All records, one a line, ended by the trailer " + client.ExportTrailer, kind: kindLines,
			query: []parameter{flag("values", "1: with their values, which are secrets")}},
		"POST /api/v1/import": {
			summary: "Read such lines", answer: client.ImportSummary{}, input: kindLines,
			query: []parameter{flag("dry_run", "1: change nothing"), flag("replace", "1: overwrite what differs"), reason}},
		"GET /api/v1/locks": {
			summary: "The project locks", answer: client.LockList{},
			query: []parameter{
				text("q", "only those with this text in what is shown, or #12"), whole("page", "of 100 locks", 1, 1<<20),
				text("sort", "one of "+strings.Join(client.LockSorts(), ", ")+"; a minus before it is the reverse"),
			}},
		"GET /api/v1/locks/{id}": {summary: "One lock", answer: client.Lock{}},
		"DELETE /api/v1/locks/{id}": {
			summary: "Take a lock away, through Atlantis, so that its plan goes too", answer: client.Unlocked{},
			query: []parameter{
				flag("force", "1: without Atlantis; the plan stays"), reason,
				{name: "fence", meaning: "only if this is the fence of the lock", schema: object{"type": "integer", "minimum": 1}},
			}},
		"GET /api/v1/freezes":  {summary: "Repositories whose locks get no new holder", answer: client.FreezeList{}},
		"POST /api/v1/freezes": {summary: "Freeze repositories: who holds a lock keeps it, nobody else gets one", answer: client.FreezeList{}, body: client.FreezeRequest{}},
		"DELETE /api/v1/freezes": {
			summary: "Lift a freeze", answer: client.FreezeList{},
			query: []parameter{{name: "glob", meaning: "as it was frozen", schema: object{"type": "string"}, required: true}, reason}},
	}
}

// openAPI answers the description of the API. It holds nothing of this sidecar
// but its version: it is open.
func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, describe(s.options.Sidecar.Status().Version))
}

// describe makes the OpenAPI document.
func describe(version string) object {
	schemas := schemas{}
	refused := schemas.of(client.Refused{})
	paths := object{}
	for route, c := range calls() {
		method, path, _ := strings.Cut(route, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(method)] = c.operation(path, &schemas, refused)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "lock-sidecar", "version": version,
			"description": "The admin API of lock-sidecar, which keeps the locks of the Atlantis next to it. No answer but a backup and an export that asked for them holds the value of a record.",
		},
		"paths":    paths,
		"security": []object{{"token": []string{}}},
		"components": object{
			"schemas":         schemas.named,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "the content of admin.token in the data directory"}},
		},
	}
}

func (c call) operation(path string, schemas *schemas, refused object) object {
	operation := object{"summary": c.summary}
	success := object{"description": "done", "content": object{}}
	if c.answer != nil {
		success["content"].(object)["application/json"] = object{"schema": schemas.of(c.answer)}
	} else {
		success["content"].(object)[c.kind] = object{"schema": object{"type": "string"}}
	}
	failure := object{"description": "refused", "content": object{"application/json": object{"schema": refused}}}
	if c.kind == kindText {
		failure["content"] = object{kindText: object{"schema": object{"type": "string"}}}
	}
	operation["responses"] = object{statusText(c.status): success, "default": failure}
	var parameters []object
	if strings.Contains(path, "{id}") {
		parameters = append(parameters, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range c.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.meaning, "required": p.required, "schema": p.schema})
	}
	if parameters != nil {
		operation["parameters"] = parameters
	}
	switch {
	case c.body != nil:
		operation["requestBody"] = object{"content": object{"application/json": object{"schema": schemas.body(c.body)}}}
	case c.input != "":
		operation["requestBody"] = object{"required": true, "content": object{c.input: object{"schema": object{"type": "string"}}}}
	}
	if c.open {
		operation["security"] = []object{}
	}
	return operation
}

func statusText(code int) string { return strconv.Itoa(cmp.Or(code, http.StatusOK)) }

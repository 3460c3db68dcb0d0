// Package config owns the configuration of lock-sidecar: one plain [Config]
// struct whose field tags are the only declaration of every key. File loading,
// environment variables, flags, validation, printing and docs/configuration.md
// all derive from those tags, so they cannot disagree.
//
// The package decides nothing about locks and opens no store, no socket and no
// log. It never shows a secret: not in an error, a warning, or printed output.
package config

import (
	"path/filepath"
	"time"
)

// Config is the whole effective configuration. It is a plain value: after
// [Load] or [Default] nothing in this package changes it, so concurrent reads
// are safe. Tags, read by keys.go, are the declaration of each key:
//
//	key      last part of the YAML path; a struct without it is inlined
//	default  in the syntax of the file; absent is the zero value
//	doc      one line for the table in docs/configuration.md and for --help
//	alias    other full paths that mean the same key, blank-separated
//	oneof    the allowed words, blank-separated
//	min, max bounds, in the syntax of the file, both inclusive
//	auto     says in the table how an unset value is derived
//	title    heading of a section in docs/configuration.md
//	later    "true" for a key, or a struct of keys, whose feature is not built yet:
//	         it is accepted, checked, and said to have no effect
type Config struct {
	Locking  Locking  `key:"enhanced-locking" title:"Enhanced locking"`
	Leases   Leases   `title:"API leases" later:"true"`
	Redis    Redis    `key:"redis" title:"Redis"`
	Queue    Queue    `title:"Queue and priorities" later:"true"`
	Retry    Retry    `title:"Retries" later:"true"`
	Deadlock Deadlock `title:"Deadlock detection" later:"true"`
	Events   Events   `title:"Events and webhooks" later:"true"`
	Cleanup  Cleanup  `title:"Automatic clean-up" later:"true"`
	Breaker  Breaker  `key:"circuit-breaker" title:"Circuit breaker"`
	Replan   Replan   `title:"Protection of re-plans" later:"true"`
	Sidecar  Sidecar  `key:"sidecar" title:"The sidecar itself"`

	sources map[string]Source // absent key: its default
}

// AdminTokenFile is where serve keeps the bearer token of the admin API.
func (c *Config) AdminTokenFile() string {
	return filepath.Join(c.Sidecar.DataDir, "admin.token")
}

// Locking chooses the enhanced store.
type Locking struct {
	Enabled        bool   `key:"enabled" default:"true" doc:"false means mode legacy: Atlantis is served, the enhanced store stays untouched"`
	Backend        string `key:"backend" oneof:"redis embedded" auto:"redis if redis.addr is given, else embedded" doc:"the enhanced store"`
	LegacyFallback bool   `key:"legacy-fallback" default:"true" doc:"automatic fallback to legacy in modes hybrid and primary; several sidecars on one store need false"`
}

// Leases bounds locks that are taken through our API.
type Leases struct {
	DefaultTimeout time.Duration `key:"default-timeout" default:"30m" min:"1s" alias:"enhanced-locking.default-timeout" doc:"how long an API acquire waits or leases when it does not say; never the life of an Atlantis lock"`
	MaxTimeout     time.Duration `key:"max-timeout" default:"2h" min:"1s" alias:"enhanced-locking.max-timeout" doc:"the most that an API acquire may ask for; never the life of an Atlantis lock"`
}

// Redis is the connection to the enhanced store in Redis.
type Redis struct {
	Addrs          []string      `key:"addr" alias:"redis.addrs redis.addresses redis.nodes" doc:"host:port of the server; with cluster-mode seed nodes (one is enough), with sentinel-master the sentinels"`
	Username       string        `key:"username" doc:"ACL user; empty is the default user"`
	Password       Secret        `key:"password" doc:"password of the user"`
	PasswordFile   string        `key:"password-file" doc:"file that holds the password; read at start, trailing newline dropped"`
	DB             int           `key:"db" default:"0" min:"0" doc:"database number; a cluster has only 0"`
	ClusterMode    bool          `key:"cluster-mode" default:"false" doc:"the addresses are nodes of a Redis cluster"`
	SentinelMaster string        `key:"sentinel-master" doc:"name of the master that the sentinels watch"`
	KeyPrefix      string        `key:"key-prefix" default:"atlantis:enhanced:" doc:"start of every key; installations that share one Redis each need their own"`
	LockTTL        time.Duration `key:"lock-ttl" default:"1h" min:"1s" later:"true" doc:"lease of API locks that ask for none; Atlantis locks never expire"`
	PoolSize       int           `key:"pool-size" default:"20" min:"1" max:"10000" doc:"most connections to one server"`
	MinIdleConns   int           `key:"min-idle-conns" default:"2" min:"0" doc:"connections kept open while idle"`
	MaxConnAge     time.Duration `key:"max-conn-age" default:"30m" min:"0" doc:"a connection is replaced after this; 0 is never"`
	DialTimeout    time.Duration `key:"dial-timeout" default:"200ms" min:"1ms" doc:"opening a connection"`
	ReadTimeout    time.Duration `key:"read-timeout" default:"300ms" min:"1ms" doc:"reading a reply; a whole operation of the authority has 400ms"`
	WriteTimeout   time.Duration `key:"write-timeout" default:"300ms" min:"1ms" doc:"sending a command"`
	PoolTimeout    time.Duration `key:"pool-timeout" default:"200ms" min:"1ms" doc:"waiting for a free connection"`
	MaxRetries     int           `key:"max-retries" default:"1" min:"0" max:"10" doc:"retries of a failed read; writes are never blindly resent"`
	TLS            RedisTLS      `key:"tls"`
	WaitReplicas   int           `key:"wait-replicas" default:"0" min:"0" max:"100" doc:"replicas that must confirm each write (WAIT); fewer is a failure"`
	WaitTimeout    time.Duration `key:"wait-timeout" default:"100ms" min:"1ms" doc:"how long a write waits for these replicas"`
}

// RedisTLS is the client's side of TLS to Redis.
type RedisTLS struct {
	Enabled            bool   `key:"enabled" default:"false" doc:"connect with TLS"`
	CAFile             string `key:"ca-file" doc:"PEM file of the authorities to trust; empty is the system's"`
	CertFile           string `key:"cert-file" doc:"PEM client certificate, with key-file"`
	KeyFile            string `key:"key-file" doc:"PEM key of the client certificate"`
	ServerName         string `key:"server-name" doc:"name to expect in the server's certificate; empty is the host of the address"`
	InsecureSkipVerify bool   `key:"insecure-skip-verify" default:"false" doc:"accept any certificate; for trials only"`
}

// Queue is the waiting line for locks and who goes first in it.
type Queue struct {
	Enabled             bool          `key:"enable-priority-queue" default:"false" doc:"give freed locks to waiters in turn"`
	MaxSize             int           `key:"max-queue-size" default:"1000" min:"1" doc:"most waiters in all queues"`
	Timeout             time.Duration `key:"queue-timeout" default:"10m" min:"1s" doc:"how long an offer stands before the next waiter gets it"`
	BatchSize           int           `key:"queue-batch-size" default:"50" min:"1" doc:"queues looked at in one pass"`
	ProcessingInterval  time.Duration `key:"queue-processing-interval" default:"500ms" min:"10ms" doc:"pause between passes"`
	Priority            Priority      `key:"priority"`
	DefaultPriority     string        `key:"default-priority" default:"normal" oneof:"low normal high critical" doc:"level of a waiter that no rule matches (critical 3, high 2, normal 1, low 0)"`
	StarvationThreshold time.Duration `key:"starvation-threshold" default:"2m" min:"1s" doc:"each such time waited lifts a waiter one level"`
	MaxPriorityBoost    int           `key:"max-priority-boost" default:"3" min:"0" max:"3" doc:"most levels that waiting can lift"`
}

// Priority holds the rules that give a waiter its level.
type Priority struct {
	Rules []PriorityRule `key:"rules" doc:"first match gives the level; within a rule all given lists must match"`
}

// PriorityRule gives a level to waiters that match all of its non-empty lists.
// The lists hold globs.
type PriorityRule struct {
	Repos        []string `key:"repos" doc:"owner/name"`
	Paths        []string `key:"paths" doc:"project directories"`
	Workspaces   []string `key:"workspaces" doc:"workspaces"`
	BaseBranches []string `key:"base-branches" doc:"branches that the pull request merges into"`
	Authors      []string `key:"authors" doc:"authors of the pull request"`
	Priority     string   `key:"priority" oneof:"low normal high critical" required:"true" doc:"the level"`
}

// Retry is for work behind the answers: mirror, reconciler, webhooks.
type Retry struct {
	Enabled     bool          `key:"enable-retry" default:"true" doc:"retry failed work of the mirror, the reconciler and webhooks"`
	MaxAttempts int           `key:"max-retry-attempts" default:"3" min:"1" max:"100" doc:"attempts in all"`
	BaseDelay   time.Duration `key:"retry-base-delay" default:"1s" min:"1ms" doc:"first pause; doubles, with jitter"`
	MaxDelay    time.Duration `key:"retry-max-delay" default:"30s" min:"1ms" doc:"longest pause"`
}

// Deadlock is the search for pull requests that wait for each other.
type Deadlock struct {
	Enabled       bool          `key:"enable-deadlock-detection" default:"false" doc:"look for pull requests that wait for each other"`
	CheckInterval time.Duration `key:"deadlock-check-interval" default:"30s" min:"1s" doc:"pause between searches"`
	Policy        string        `key:"deadlock-policy" default:"report" oneof:"report lowest-priority youngest oldest" doc:"which waiter is suggested to give way"`
}

// Events is the stream of what happened and who is told.
type Events struct {
	Enabled    bool      `key:"enable-events" default:"false" doc:"record events and send webhooks"`
	BufferSize int       `key:"event-buffer-size" default:"1000" min:"1" max:"1000000" doc:"events kept"`
	Webhooks   []Webhook `key:"webhooks" doc:"who is told"`
}

// Webhook is one receiver of events.
type Webhook struct {
	URL        SecretURL `key:"url" required:"true" doc:"http or https; shown without its path, which often is the secret"`
	Events     []string  `key:"events" doc:"names of the events; empty is all"`
	SecretFile string    `key:"secret-file" doc:"file with the key that signs each call"`
	Format     string    `key:"format" default:"json" oneof:"json slack" doc:"shape of the body"`

	// Secret is what [Load] read from SecretFile; empty means unsigned.
	Secret Secret
}

// Cleanup removes what our API left behind, never an Atlantis lock.
type Cleanup struct {
	Enabled   bool          `key:"enable-automatic-cleanup" default:"false" doc:"remove expired API leases, dead waiters and orphan index entries; never an Atlantis lock"`
	Interval  time.Duration `key:"cleanup-interval" default:"2m" min:"1s" doc:"pause between passes"`
	BatchSize int           `key:"cleanup-batch-size" default:"100" min:"1" doc:"entries removed in one pass"`
}

// Breaker guards the follower; it counts infrastructure errors only.
type Breaker struct {
	FailureThreshold int           `key:"failure-threshold" default:"5" min:"1" doc:"failures in a row that open the breaker; infrastructure errors of the follower only"`
	SuccessThreshold int           `key:"success-threshold" default:"3" min:"1" doc:"successes in a row that close it again"`
	Timeout          time.Duration `key:"timeout" default:"10s" min:"1ms" doc:"time open before it tries again"`
	MinFallback      time.Duration `key:"min-fallback" default:"5s" min:"0" doc:"shortest stay on legacy after a fallback, against flapping"`
}

// Replan reserves a lock that a re-plan gave up, where enhanced is authority.
type Replan struct {
	Protect bool          `key:"protect-replan" default:"true" doc:"keep a lock that a re-plan gave up for its holder (where the enhanced store answers)"`
	Grace   time.Duration `key:"replan-grace" default:"30m" min:"0" doc:"how long such a reservation lasts at most"`
}

// Sidecar is the process: where it listens, stores, logs, and what it allows.
type Sidecar struct {
	DataDir       string        `key:"data-dir" default:"./data" doc:"directory of atlantis.db, enhanced.db and admin.token; Atlantis's own data dir in production"`
	Listen        string        `key:"listen" default:"127.0.0.1:6380" doc:"where Atlantis connects (Redis protocol)"`
	AdminListen   string        `key:"admin-listen" default:"127.0.0.1:9380" doc:"page and API"`
	MetricsListen string        `key:"metrics-listen" doc:"health and metrics only, for kubelet and Prometheus; empty is off"`
	OpenTimeout   time.Duration `key:"open-timeout" default:"30s" min:"0" doc:"how long to wait for a database file that another process holds"`
	Mode          Mode          `key:"mode" default:"shadow" oneof:"legacy shadow hybrid primary enhanced" doc:"who answers at the first start; later the mode that was kept counts"`
	Hybrid        Hybrid        `key:"hybrid"`
	InstanceID    string        `key:"instance-id" auto:"an id kept in atlantis.db" later:"true" doc:"name of this sidecar among several"`
	LogFormat     string        `key:"log-format" default:"text" oneof:"text json" doc:"shape of log lines"`
	LogLevel      string        `key:"log-level" default:"info" oneof:"trace debug info warn error" doc:"least severity that is logged"`
	Debug         bool          `key:"debug-endpoints" default:"false" doc:"profiles and variables of the process under /debug/ of the admin listener, for those who have the token"`
	Auth          Auth          `key:"auth"`
	Atlantis      Atlantis      `key:"atlantis"`
	Readiness     Readiness     `key:"readiness"`
	Ignore        []Ignore      `key:"ignore" doc:"divergences that are known and accepted: counted apart, not recorded"`
	Limits        Limits        `key:"limits"`

	// TakeOver makes the enhanced store this sidecar's, whoever owns it: a flag of
	// serve and no key, as it must not stay.
	TakeOver bool
}

// Hybrid is the share of routes that enhanced answers in mode hybrid.
type Hybrid struct {
	Percent int      `key:"percent" default:"0" min:"0" max:"100" doc:"a repo is in the enhanced share if its stable hash is below this"`
	Repos   []string `key:"repos" doc:"globs; a repo that matches one is in the enhanced share too"`
}

// Auth is what Atlantis must present, and the TLS that it must speak.
type Auth struct {
	Username     string    `key:"username" doc:"user that Atlantis must name (--redis-username); needs a password"`
	Password     Secret    `key:"password" doc:"password that Atlantis must present (--redis-password); empty asks for none"`
	PasswordFile string    `key:"password-file" doc:"file that holds this password; read at start, trailing newline dropped"`
	TLS          ServerTLS `key:"tls"`
}

// ServerTLS is the server's side of TLS towards Atlantis.
type ServerTLS struct {
	Enabled  bool   `key:"enabled" default:"false" doc:"Atlantis must connect with TLS (--redis-tls-enabled)"`
	CertFile string `key:"cert-file" doc:"PEM certificate of the sidecar, with key-file"`
	KeyFile  string `key:"key-file" doc:"PEM key of the certificate"`
}

// Atlantis is its own web page and API, which the sidecar asks to give up a lock,
// so that the plan file goes too.
type Atlantis struct {
	URL          string `key:"url" doc:"address of Atlantis itself, such as http://127.0.0.1:4141: locks unlock goes through it; empty is none"`
	Username     string `key:"username" doc:"user of its page (--web-username), where it wants one (--web-basic-auth)"`
	Password     Secret `key:"password" doc:"password of that user (--web-password)"`
	PasswordFile string `key:"password-file" doc:"file that holds this password; read at start, trailing newline dropped"`
}

// Readiness is the guard of a cut-over. Latency counts writes only, and only
// above the floor.
type Readiness struct {
	MinDuration     time.Duration `key:"min-duration" default:"24h" min:"0" doc:"comparison must have run this long"`
	MinOperations   int           `key:"min-operations" default:"1000" min:"0" doc:"compared operations"`
	MaxDivergences  int           `key:"max-divergences" default:"0" min:"0" doc:"unexplained divergences"`
	MaxLatencyRatio float64       `key:"max-latency-ratio" default:"1.5" min:"0" doc:"p95 of enhanced writes over legacy writes"`
	LatencyFloor    time.Duration `key:"latency-floor" default:"25ms" min:"0" doc:"an enhanced p95 below this always passes"`
}

// Ignore accepts divergences of some records.
type Ignore struct {
	Keys   string `key:"keys" required:"true" doc:"Redis glob of the keys as Atlantis sends them, such as pr/acme/infra/*"`
	Kind   string `key:"kind" default:"any" oneof:"any outcome missing extra owner value" doc:"in what way they may differ"`
	Reason string `key:"reason" required:"true" doc:"why that is accepted, shown with them"`
	Until  string `key:"until" doc:"RFC 3339 time at which the rule ends, such as 2026-12-31T00:00:00Z; empty is never"`
}

// Ends is when the rule ends, zero for never. [Load] has checked the syntax.
func (i Ignore) Ends() time.Time {
	ends, _ := time.Parse(time.RFC3339, i.Until)
	return ends
}

// Limits bounds what connections can cost.
type Limits struct {
	MaxConnections int  `key:"max-connections" default:"4096" min:"1" doc:"at the limit the oldest connection that never completed a command goes first"`
	MaxValue       Size `key:"max-value" default:"8MiB" min:"1KiB" max:"512MiB" doc:"longest value that is accepted"`
}

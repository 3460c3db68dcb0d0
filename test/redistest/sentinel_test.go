package redistest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// Sentinels lead to the master at once, in TLS too, and know each other.
func TestSentinelsNameTheirMaster(t *testing.T) {
	files := &redistest.TLS{By: redistest.NewAuthority(t, "test authority")}
	files.Cert, files.Key = files.By.Issue(t, time.Now().Add(time.Hour))
	for _, tls := range []*redistest.TLS{nil, files} {
		o := redistest.Sentinels{Name: "m", Count: 3, TLS: tls}
		options := &redis.Options{Protocol: 2}
		if tls == nil {
			o.Master = redistest.Start(t)
		} else {
			o.Master, options.TLSConfig = redistest.StartTLS(t, tls.By, tls.Cert, tls.Key, "--tls-replication", "yes"), tls.Client(t)
		}
		for _, s := range redistest.StartSentinels(t, o) {
			options := *options
			options.Addr = s.Addr
			client := redis.NewSentinelClient(&options)
			master, err := client.Master(t.Context(), "m").Result()
			require.NoError(t, err)
			require.Equal(t, "2", master["num-other-sentinels"])
			require.Equal(t, o.Master.Addr, master["ip"]+":"+master["port"])
			require.NoError(t, client.Close())
		}
	}
}

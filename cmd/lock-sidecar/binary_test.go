package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Ctrl-C during traffic ends the process with 0, and every write that was answered is there afterwards.
func TestBinaryCtrlCDuringTrafficLosesNothing(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	client := redisClient(t, &redis.Options{Addr: p.Addr, MaxRetries: -1, ReadTimeout: time.Minute}) // the signal ends the traffic, not a slow answer
	answered := make(chan string, 100_000)
	var refused error // why the traffic ended; read after answered is closed
	go func() {
		defer close(answered)
		for i := 0; refused == nil; i++ {
			key := fmt.Sprintf("pr/acme/infra/dir%d/default/", i)
			if refused = client.Set(context.Background(), key, lockValue, 0).Err(); refused == nil {
				answered <- key
			}
		}
	}()
	var keys []string
	for range 3 {
		key, ok := <-answered
		if !ok { // only then may refused be read
			t.Fatalf("the traffic ended before the signal: %v", refused)
		}
		keys = append(keys, key)
	}
	require.NoError(t, p.Signal(os.Interrupt))
	require.Equal(t, 0, p.Wait())
	for key := range answered {
		keys = append(keys, key)
	}

	records := sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db"))["runLocks"]
	for _, key := range keys {
		require.Contains(t, records, strings.TrimPrefix(key, "pr/"))
	}
	require.Contains(t, p.Output(), "interrupt")
}

// A client that does not read its replies holds up a stop for some seconds; a second signal does not wait for it.
func TestBinarySecondSignalEndsAtOnce(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	value := `{"Pull":{"Num":12},"Padding":"` + strings.Repeat("x", 1<<20) + `"}`
	patient := &redis.Options{Addr: p.Addr, ReadTimeout: time.Minute, MaxRetries: -1} // so much takes the race detector its time
	require.NoError(t, redisClient(t, patient).Set(t.Context(), lockKey, value, 0).Err())
	conn, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, strings.Repeat("GET "+lockKey+"\r\n", 64)) // more than sockets buffer
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)

	require.NoError(t, p.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), "stopping") }, eventually, tick)
	require.NoError(t, p.Signal(syscall.SIGTERM))
	require.Equal(t, 128+int(syscall.SIGTERM), p.Wait())
}

// A second start on the same directory names who holds the file; on the same ports, the ports.
func TestBinarySecondStart(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	_, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", p.DataDir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--open-timeout", "0s")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, fmt.Sprintf("process %d (lock-sidecar", p.PID()))
	last := strings.Split(strings.TrimSpace(stderr), "\n")
	require.True(t, strings.HasPrefix(last[len(last)-1], "lock-sidecar: open "), stderr)

	stdout, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", p.DataDir, "--listen", p.Addr, "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, code)
	require.Empty(t, stdout)
	result{"", stderr, code}.isOneLine(t)
	require.Contains(t, stderr, p.Addr)
	require.NoError(t, redisClient(t, &redis.Options{Addr: p.Addr}).Ping(t.Context()).Err(), "the first is unharmed")
}

// While a start waits for the holder of the file, every probe says so; when the holder ends, it starts.
func TestBinaryWaitsForTheHolder(t *testing.T) {
	holder := sidecar.Start(t, sidecar.Options{})
	redisAddr, adminAddr := process.FreeAddr(t), process.FreeAddr(t)
	cmd := exec.Command(sidecar.Binary(t), "serve", "--data-dir", holder.DataDir, "--listen", redisAddr, "--admin-listen", adminAddr, "--open-timeout", "10m")
	next := process.Start(t, cmd)
	url := "http://" + adminAddr
	require.Eventually(t, func() bool { return httpStatus(url+"/livez") == http.StatusOK }, eventually, tick)
	require.Equal(t, http.StatusServiceUnavailable, httpStatus(url+"/startupz"))
	require.Equal(t, http.StatusServiceUnavailable, httpStatus(url+"/readyz"))

	env := []string{"LOCK_SIDECAR_ADMIN=" + url, "LOCK_SIDECAR_TOKEN_FILE=" + filepath.Join(holder.DataDir, "admin.token")}
	stdout, _, code := sidecar.Run(t, env, "status")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "NOT HEALTHY: opening "+filepath.Join(holder.DataDir, "atlantis.db"))
	_, stderr, code := sidecar.Run(t, env, "backup", filepath.Join(t.TempDir(), "b.db"))
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "no backup now")

	holder.Stop()
	stdout, stderr, code = sidecar.Run(t, env, "wait")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "ready\n", stdout)
	_, stderr, code = sidecar.Run(t, env, "shutdown")
	require.Equal(t, 0, code, stderr)
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	code, err := next.Wait(ended)
	require.NoError(t, err)
	require.Equal(t, 0, code)
}

func httpStatus(url string) int {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// Wrong flags, keys and tokens, and a sidecar that is dead, have their exit codes.
func TestBinaryExitCodes(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	wrong := filepath.Join(t.TempDir(), "wrong.token")
	require.NoError(t, os.WriteFile(wrong, []byte("0123456789abcdef"), 0o600))
	unknownKey := configFile(t, "redis:\n  pol-size: 1\n")
	admin := "LOCK_SIDECAR_ADMIN=http://" + p.AdminAddr

	for _, c := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{nil, []string{"serve", "--lisen", "x"}, 2, "did you mean --listen?"},
		{nil, []string{"serve", "--config", unknownKey}, 2, "redis.pool-size"},
		{nil, []string{"serve", "--mode", "primry"}, 2, "expected one of legacy, shadow, hybrid, primary, enhanced"},
		{[]string{admin, "LOCK_SIDECAR_TOKEN_FILE=" + wrong}, []string{"status"}, 4, wrong},
		{[]string{admin}, []string{"status"}, 4, "./data/admin.token cannot be read"},
		{nil, []string{"backup", wrong, "--admin", "http://" + p.AdminAddr}, 4, "is not replaced"},
	} {
		stdout, stderr, code := sidecar.Run(t, c.env, c.args...)
		require.Equal(t, c.code, code, "%s: %s", c.args, stderr)
		require.Empty(t, stdout)
		result{"", stderr, code}.isOneLine(t)
		require.Contains(t, stderr, c.want)
	}

	p.Kill9()
	for _, args := range [][]string{{"status"}, {"shutdown"}, {"backup", wrong + "2"}, {"wait", "--timeout", "100ms"}} {
		_, stderr, code := sidecar.Run(t, []string{admin}, args...)
		require.Equal(t, 3, code, args)
		result{"", stderr, code}.isOneLine(t)
		require.Contains(t, stderr, "is the sidecar running?")
	}
}

// A command whose reader has gone ends as any Unix command, without a word.
func TestBinaryClosedPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	defer writer.Close()
	var stderr strings.Builder
	cmd := exec.Command(sidecar.Binary(t), "config", "print")
	cmd.Stdout, cmd.Stderr = writer, &stderr
	p := process.Start(t, cmd)
	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 128+int(syscall.SIGPIPE), code)
	require.Empty(t, stderr.String())
}

// serve goes on when the reader of its log goes away.
func TestBinaryServesWithoutAReaderOfItsLog(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	redisAddr, adminAddr := process.FreeAddr(t), process.FreeAddr(t)
	cmd := exec.Command(sidecar.Binary(t), "serve", "--data-dir", t.TempDir(), "--listen", redisAddr, "--admin-listen", adminAddr)
	cmd.Stdout, cmd.Stderr = writer, writer
	p := process.Start(t, cmd)
	require.NoError(t, writer.Close())
	require.Eventually(t, func() bool { return httpStatus("http://"+adminAddr+"/readyz") == http.StatusOK }, eventually, tick)
	require.NoError(t, reader.Close())

	client := redisClient(t, &redis.Options{Addr: redisAddr})
	require.NoError(t, client.Set(t.Context(), lockKey, lockValue, 0).Err()) // logs a line
	require.Equal(t, lockValue, client.Get(t.Context(), lockKey).Val())
	require.NoError(t, p.Signal(syscall.SIGTERM))
	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, code)
}

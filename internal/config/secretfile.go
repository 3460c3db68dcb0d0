package config

import (
	"fmt"
	"os"
	"strings"
)

// maxSecretBytes is far more than any password or signing key has.
const maxSecretBytes = 64 << 10

// readSecrets fills the secrets whose *-file keys are set and checks that the
// TLS files can be read. Relative paths start at the working directory.
func (l *loader) readSecrets() {
	c := l.config
	l.readPassword("redis.password", &c.Redis.Password, c.Redis.PasswordFile)
	l.readPassword("sidecar.auth.password", &c.Sidecar.Auth.Password, c.Sidecar.Auth.PasswordFile)
	l.readPassword("sidecar.atlantis.password", &c.Sidecar.Atlantis.Password, c.Sidecar.Atlantis.PasswordFile)
	for i := range c.Events.Webhooks {
		hook := &c.Events.Webhooks[i]
		if hook.SecretFile != "" {
			hook.Secret, _ = l.secret("webhooks", fmt.Sprintf("webhooks[%d].secret-file", i), hook.SecretFile)
		}
	}
	l.reachable("redis.tls.ca-file", c.Redis.TLS.Enabled, c.Redis.TLS.CAFile)
	l.reachable("redis.tls.cert-file", c.Redis.TLS.Enabled, c.Redis.TLS.CertFile)
	l.reachable("redis.tls.key-file", c.Redis.TLS.Enabled, c.Redis.TLS.KeyFile)
	l.reachable("sidecar.auth.tls.cert-file", c.Sidecar.Auth.TLS.Enabled, c.Sidecar.Auth.TLS.CertFile)
	l.reachable("sidecar.auth.tls.key-file", c.Sidecar.Auth.TLS.Enabled, c.Sidecar.Auth.TLS.KeyFile)
}

// readPassword leaves a password alone that is also given directly: check
// reports the pair.
func (l *loader) readPassword(key string, password *Secret, file string) {
	if file == "" || *password != "" || l.broken[key] {
		return
	}
	text, ok := l.secret(key+"-file", key+"-file", file)
	if !ok {
		l.broken[key] = true
		return
	}
	*password = text
	l.config.sources[key] = Source{LevelSecretFile, file}
}

func (l *loader) secret(key, name, file string) (Secret, bool) {
	data, err := readSecret(file)
	if err != nil {
		l.trouble(Finding{Key: key, Where: l.config.Source(key).Name, Text: fmt.Sprintf("%s cannot be read: %v", name, err)})
		return "", false
	}
	return data, true
}

func readSecret(file string) (Secret, error) {
	data, err := readFile(file, maxSecretBytes)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("read %s: the file is empty", file)
	}
	return Secret(text), nil
}

func (l *loader) reachable(key string, used bool, file string) {
	if !used || file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		l.trouble(Finding{Key: key, Where: l.config.Source(key).Name, Text: fmt.Sprintf("%s cannot be read: %v", key, err)})
		return
	}
	f.Close()
}

package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// A setting whose feature is not built yet is accepted, and whoever sets it is told that it does nothing; so is who reads
// about it.
func TestASettingThatDoesNothingYetSaysSo(t *testing.T) {
	_, warnings, err := loadText(t, "enable-deadlock-detection: true\nenable-retry: false\nredis: {db: 1}\n")
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Equal(t, "no effect yet, as this version does not have what it is for: enable-retry, enable-deadlock-detection", warnings[0].Text)

	later := map[string]bool{}
	for _, key := range config.Keys() {
		require.Equal(t, key.Later, strings.Contains(key.Doc, "; no effect yet"), key.Path)
		later[key.Path] = key.Later
	}
	for path, want := range map[string]bool{
		"enable-priority-queue": true, "enable-retry": true, "deadlock-policy": true, "webhooks": true, "cleanup-interval": true,
		"protect-replan": true, "max-timeout": true, "redis.lock-ttl": true, "sidecar.instance-id": true,
		"redis.db": false, "circuit-breaker.timeout": false, "sidecar.listen": false,
	} {
		require.Equal(t, want, later[path], path)
	}
}

// What is said to have no effect yet is read by nobody: who builds the feature takes the mark away.
func TestWhatHasNoEffectYetIsReadByNobody(t *testing.T) {
	var fields []string
	var collect func(reflect.Type)
	collect = func(of reflect.Type) {
		for i := range of.NumField() {
			switch f := of.Field(i); {
			case f.Tag.Get("later") != "":
				fields = append(fields, f.Name)
			case f.IsExported() && f.Type.Kind() == reflect.Struct:
				collect(f.Type)
			}
		}
	}
	collect(reflect.TypeFor[config.Config]())
	require.NotEmpty(t, fields)
	reads := regexp.MustCompile(`\.(` + strings.Join(fields, "|") + `)\b`)
	looked := 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../../internal/config/") {
			return nil
		}
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		if strings.Contains(string(source), `lock-sidecar/internal/config"`) {
			looked++
			require.Empty(t, reads.FindAllString(string(source), -1), path)
		}
		return nil
	}))
	require.Greater(t, looked, 5)
}

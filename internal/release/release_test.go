package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/release"
)

// recipe is that of the Dockerfile of this repository.
func recipe(t *testing.T) *release.Recipe {
	t.Helper()
	f, err := os.Open("../../Dockerfile")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	r, err := release.ReadDockerfile(f, map[string]string{"VERSION": "v1.2.3", "REVISION": "abc"})
	require.NoError(t, err)
	return r
}

// The Dockerfile says what an image needs: a user that is Atlantis's, an entry point, and a directory that user may write.
func TestDockerfileIsUnderstood(t *testing.T) {
	r := recipe(t)
	require.Equal(t, "100:1000", r.User)
	require.Equal(t, []string{"/lock-sidecar"}, r.Entrypoint)
	require.Equal(t, []string{"serve"}, r.Cmd)
	require.Equal(t, []string{"/atlantis"}, r.Volumes)
	require.Equal(t, "v1.2.3", r.Labels["org.opencontainers.image.version"])
	require.Equal(t, "abc", r.Labels["org.opencontainers.image.revision"])

	files, err := r.Files([]byte("binary"), []byte("certificates"))
	require.NoError(t, err)
	byPath := map[string]release.File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	require.Len(t, byPath, 7)
	require.Equal(t, release.File{Path: "atlantis", Mode: fs.ModeDir | 0o700, UID: 100, GID: 1000}, byPath["atlantis"])
	require.Equal(t, "atlantis", byPath["data"].Link)
	require.Equal(t, "binary", string(byPath["lock-sidecar"].Content))
	require.Equal(t, "certificates", string(byPath["etc/ssl/certs/ca-certificates.crt"].Content))
}

// What is not understood is an error rather than another image than a builder would make.
func TestUnknownInstructionsAreErrors(t *testing.T) {
	const end = "\nENTRYPOINT [\"/x\"]\n"
	for _, text := range []string{
		"FROM scratch\nSHELL [\"sh\"]" + end,
		"FROM scratch\nCOPY a /" + end,
		"FROM golang AS build\nRUN mkdir -m 0700 /image/a && touch /image/b\nFROM scratch" + end,
		"FROM golang AS build\nRUN mkdir -m 0700 /elsewhere/a b\nFROM scratch" + end,
		"FROM alpine" + end,
		"FROM scratch\n",
	} {
		_, err := release.ReadDockerfile(strings.NewReader(text), nil)
		require.ErrorContains(t, err, "read Dockerfile", text)
	}
}

// The tarball is an OCI layout: every descriptor leads to a blob that has its digest and size, for each architecture, and
// two of them are the same bytes.
func TestImageIsAnOCILayout(t *testing.T) {
	write := func() []byte {
		var b bytes.Buffer
		require.NoError(t, release.WriteImage(&b, "lock-sidecar:v1.2.3", recipe(t), []byte("pem"), []release.Platform{
			{Arch: "amd64", Binary: []byte("one")}, {Arch: "arm64", Binary: []byte("two")},
		}))
		return b.Bytes()
	}
	require.Equal(t, write(), write())
	files := untar(t, bytes.NewReader(write()))
	require.JSONEq(t, `{"imageLayoutVersion":"1.0.0"}`, files["oci-layout"])

	type descriptor struct {
		MediaType, Digest string
		Size              int
		Platform          struct{ Architecture, OS string }
	}
	type document struct {
		Manifests []descriptor
		Config    descriptor
		Layers    []descriptor
	}
	read := func(d descriptor) string {
		content, ok := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		require.True(t, ok, d.Digest)
		sum := sha256.Sum256([]byte(content))
		require.Equal(t, d.Digest, "sha256:"+hex.EncodeToString(sum[:]))
		require.Equal(t, d.Size, len(content))
		return content
	}
	parse := func(text string) (d document) {
		require.NoError(t, json.Unmarshal([]byte(text), &d))
		return d
	}
	platforms := parse(read(parse(files["index.json"]).Manifests[0])).Manifests
	require.Len(t, platforms, 2)
	for i, arch := range []string{"amd64", "arm64"} {
		require.Equal(t, arch, platforms[i].Platform.Architecture)
		m := parse(read(platforms[i]))
		var config struct {
			Architecture string
			Config       struct{ User string }
			RootFS       struct {
				Diffs []string `json:"diff_ids"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(read(m.Config)), &config))
		require.Equal(t, arch, config.Architecture)
		require.Equal(t, "100:1000", config.Config.User)
		plain := gunzip(t, read(m.Layers[0]))
		sum := sha256.Sum256(plain)
		require.Equal(t, []string{"sha256:" + hex.EncodeToString(sum[:])}, config.RootFS.Diffs)
		require.Equal(t, []string{"one", "two"}[i], untar(t, bytes.NewReader(plain))["lock-sidecar"])
	}
}

// The bill of materials names the program, Go's library and every module with its checksum, and is the same each time.
func TestSBOMNamesEveryModule(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "github.com/lock-sidecar/lock-sidecar", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "go.etcd.io/bbolt", Version: "v1.5.0", Sum: "h1:abc="},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v2.0.0+incompatible"}},
		},
		Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "arm64"}, {Key: "-ldflags", Value: "x"}},
	}
	text, err := release.SBOM(info, "v1.2.3")
	require.NoError(t, err)
	var d struct {
		BOMFormat, SpecVersion string
		Metadata               struct {
			Component struct {
				PURL       string
				Properties []struct{ Name, Value string }
			}
		}
		Components   []struct{ PURL string }
		Dependencies []struct{ DependsOn []string }
	}
	require.NoError(t, json.Unmarshal(text, &d))
	require.Equal(t, "CycloneDX 1.5", d.BOMFormat+" "+d.SpecVersion)
	require.Equal(t, "pkg:golang/github.com/lock-sidecar/lock-sidecar@v1.2.3", d.Metadata.Component.PURL)
	require.Len(t, d.Metadata.Component.Properties, 1)
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/go.etcd.io/bbolt@v1.5.0", "pkg:golang/example.com/new@v2.0.0%2Bincompatible"}
	require.Equal(t, want, d.Dependencies[0].DependsOn)
	for i, c := range d.Components {
		require.Equal(t, want[i], c.PURL)
	}
	require.Contains(t, string(text), "h1:abc=")
}

// An archive gives back what went in, and says nothing of when or where it was made.
func TestArchiveIsTheSameEachTime(t *testing.T) {
	write := func() []byte {
		var b bytes.Buffer
		require.NoError(t, release.WriteArchive(&b, []release.File{{Path: "x/run", Mode: 0o755, Content: []byte("#!")}}))
		return b.Bytes()
	}
	require.Equal(t, write(), write())
	require.Equal(t, "#!", untar(t, bytes.NewReader(gunzip(t, string(write()))))["x/run"])
}

func gunzip(t *testing.T, content string) []byte {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(content))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	return plain
}

func untar(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

package release

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// The media types of the OCI image specification, version 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Platform is an image for one architecture of Linux.
type Platform struct {
	Arch   string // as GOARCH
	Binary []byte
}

type descriptor struct {
	Type        string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Arch string `json:"architecture"`
	OS   string `json:"os"`
}

type list struct {
	Schema    int          `json:"schemaVersion"`
	Type      string       `json:"mediaType"`
	Manifests []descriptor `json:"manifests"`
}

type manifest struct {
	Schema int          `json:"schemaVersion"`
	Type   string       `json:"mediaType"`
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

// image is the configuration of one image.
type image struct {
	platform
	Config config `json:"config"`
	RootFS rootFS `json:"rootfs"`
}

type config struct {
	User       string              `json:"User"`
	Entrypoint []string            `json:"Entrypoint"`
	Cmd        []string            `json:"Cmd"`
	Workdir    string              `json:"WorkingDir"`
	Volumes    map[string]struct{} `json:"Volumes"`
	Labels     map[string]string   `json:"Labels"`
}

type rootFS struct {
	Type  string   `json:"type"`
	Diffs []string `json:"diff_ids"`
}

// layout collects blobs under their digests.
type layout struct{ blobs []File }

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (l *layout) add(kind string, content []byte) descriptor {
	d := descriptor{Type: kind, Digest: digestOf(content), Size: len(content)}
	path := "blobs/" + strings.Replace(d.Digest, ":", "/", 1)
	if !slices.ContainsFunc(l.blobs, func(f File) bool { return f.Path == path }) {
		l.blobs = append(l.blobs, File{Path: path, Mode: 0o644, Content: content})
	}
	return d
}

func (l *layout) addJSON(kind string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	return l.add(kind, content), nil
}

// Files is the root directory of the image: the binary, the certificates, and what the Dockerfile makes beside them.
func (r *Recipe) Files(binary, certificates []byte) ([]File, error) {
	files := []File{}
	for to, from := range r.Copies {
		switch {
		case from == "/image/" && to == "/":
			files = append(files, File{Path: strings.TrimPrefix(r.Entrypoint[0], "/"), Mode: 0o755, Content: binary})
			files = append(files, r.Root...)
		case strings.HasSuffix(from, "/ca-certificates.crt"):
			files = append(files, parents(to)...)
			files = append(files, File{Path: strings.TrimPrefix(to, "/"), Mode: 0o644, Content: certificates})
		default:
			return nil, fmt.Errorf("make root: nobody knows what the build stage has at %s", from)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// parents are the directories above an absolute path.
func parents(path string) (dirs []File) {
	for i, r := range path {
		if r == '/' && i > 0 {
			dirs = append(dirs, File{Path: path[1:i], Mode: fs.ModeDir | 0o755})
		}
	}
	return dirs
}

// WriteImage writes an image for several architectures as an OCI layout in a tarball, under a name such as
// lock-sidecar:v1.2.3.
func WriteImage(w io.Writer, name string, r *Recipe, certificates []byte, platforms []Platform) error {
	l := &layout{}
	all := list{Schema: 2, Type: typeIndex}
	for _, p := range platforms {
		d, err := l.image(r, certificates, p)
		if err != nil {
			return err
		}
		all.Manifests = append(all.Manifests, d)
	}
	nested, err := l.addJSON(typeIndex, all)
	if err != nil {
		return err
	}
	_, tag, _ := strings.Cut(name, ":")
	nested.Annotations = map[string]string{"io.containerd.image.name": "docker.io/library/" + name, "org.opencontainers.image.ref.name": tag}
	index, err := json.Marshal(list{Schema: 2, Type: typeIndex, Manifests: []descriptor{nested}})
	if err != nil {
		return fmt.Errorf("encode index: %w", err)
	}
	return writeTar(w, append([]File{
		{Path: "oci-layout", Mode: 0o644, Content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{Path: "index.json", Mode: 0o644, Content: index},
	}, l.blobs...))
}

func (l *layout) image(r *Recipe, certificates []byte, p Platform) (descriptor, error) {
	files, err := r.Files(p.Binary, certificates)
	if err != nil {
		return descriptor{}, err
	}
	var plain, compressed bytes.Buffer
	if err := writeTar(&plain, files); err != nil {
		return descriptor{}, err
	}
	gz := gzip.NewWriter(&compressed)
	if _, err := gz.Write(plain.Bytes()); err != nil {
		return descriptor{}, fmt.Errorf("compress layer: %w", err)
	}
	if err := gz.Close(); err != nil {
		return descriptor{}, fmt.Errorf("compress layer: %w", err)
	}
	of := platform{Arch: p.Arch, OS: "linux"}
	volumes := map[string]struct{}{}
	for _, v := range r.Volumes {
		volumes[v] = struct{}{}
	}
	settings, err := l.addJSON(typeConfig, image{of,
		config{r.User, r.Entrypoint, r.Cmd, r.Workdir, volumes, r.Labels},
		rootFS{"layers", []string{digestOf(plain.Bytes())}}})
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.addJSON(typeManifest, manifest{2, typeManifest, settings, []descriptor{l.add(typeLayer, compressed.Bytes())}})
	d.Platform = &of
	return d, err
}

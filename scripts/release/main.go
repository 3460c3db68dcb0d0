// Command release builds everything that a release has into a directory. Usage, from the top of the checkout:
//
//	go run ./scripts/release -version v1.2.3 -revision COMMIT
//
// It needs the Go tool and nothing else, and no network once the modules are there. Two runs of one version of Go on
// one revision write the same bytes, if they are given the same certificates.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/internal/release"
)

// options of a release.
type options struct {
	version, revision, out, certificates string
}

func main() {
	var o options
	flag.StringVar(&o.version, "version", "dev", "what the binaries say they are")
	flag.StringVar(&o.revision, "revision", "", "commit, for the binaries and the label of the image")
	flag.StringVar(&o.out, "out", "dist", "directory to write to; it must not exist")
	flag.StringVar(&o.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "PEM file with the authorities that the image trusts")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	if err := os.Mkdir(o.out, 0o755); err != nil {
		return fmt.Errorf("create the directory: %w; remove what an earlier release left", err)
	}
	var sums strings.Builder
	var platforms []release.Platform
	for _, target := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		system, arch, _ := strings.Cut(target, "/")
		binary, err := o.target(system, arch, &sums)
		if err != nil {
			return fmt.Errorf("make %s: %w", target, err)
		}
		if system == "linux" {
			platforms = append(platforms, release.Platform{Arch: arch, Binary: binary})
		}
	}
	if err := o.image(platforms, &sums); err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.out, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil {
		return fmt.Errorf("write sums: %w", err)
	}
	return nil
}

// write writes one file of the release and notes its sum.
func (o options) write(name string, content []byte, sums *strings.Builder) error {
	fmt.Fprintf(sums, "%x  %s\n", sha256.Sum256(content), name)
	if err := os.WriteFile(filepath.Join(o.out, name), content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// target makes the archive and the bill of materials of one platform, and returns the binary.
func (o options) target(system, arch string, sums *strings.Builder) ([]byte, error) {
	dir, err := os.MkdirTemp("", "lock-sidecar-release")
	if err != nil {
		return nil, fmt.Errorf("create a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of this process alone
	path := filepath.Join(dir, "lock-sidecar")
	// The same flags as in the Dockerfile.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+o.version+" -X main.revision="+o.revision, "-o", path, "./cmd/lock-sidecar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read what the binary is made of: %w", err)
	}
	sbom, err := release.SBOM(info, o.version)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("lock-sidecar_%s_%s_%s", o.version, system, arch)
	if err := o.write(name+".cdx.json", sbom, sums); err != nil {
		return nil, err
	}
	files := []release.File{{Path: name + "/lock-sidecar", Mode: 0o755, Content: binary}, {Path: name + "/sbom.cdx.json", Mode: 0o644, Content: sbom}}
	for _, doc := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		content, err := os.ReadFile(doc)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", doc, err)
		}
		files = append(files, release.File{Path: name + "/" + doc, Mode: 0o644, Content: content})
	}
	var archive bytes.Buffer
	if err := release.WriteArchive(&archive, files); err != nil {
		return nil, err
	}
	return binary, o.write(name+".tar.gz", archive.Bytes(), sums)
}

func (o options) image(platforms []release.Platform, sums *strings.Builder) error {
	dockerfile, err := os.Open("Dockerfile")
	if err != nil {
		return fmt.Errorf("open Dockerfile: %w", err)
	}
	defer func() { _ = dockerfile.Close() }() // only read
	recipe, err := release.ReadDockerfile(dockerfile, map[string]string{"VERSION": o.version, "REVISION": o.revision})
	if err != nil {
		return err
	}
	certificates, err := os.ReadFile(o.certificates)
	if err != nil {
		return fmt.Errorf("read the authorities: %w; name a PEM file with -certificates", err)
	}
	var image bytes.Buffer
	if err := release.WriteImage(&image, "lock-sidecar:"+o.version, recipe, certificates, platforms); err != nil {
		return err
	}
	return o.write("lock-sidecar_"+o.version+"_image.tar", image.Bytes(), sums)
}

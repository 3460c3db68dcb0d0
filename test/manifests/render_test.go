package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	repository = "../.."
	rollback   = "overlays/phase-0-rollback"
	before129  = "components/before-1.29"
)

// phase is one overlay that has the sidecar.
type phase struct{ overlay, mode string }

func phases() []phase {
	return []phase{
		{"overlays/phase-1-legacy", "legacy"},
		{"overlays/phase-2-shadow", "shadow"},
		{"overlays/phase-3-hybrid", "hybrid"},
		{"overlays/phase-4-primary", "primary"},
		{"overlays/phase-5-enhanced", "enhanced"},
	}
}

// checkout is a copy of k8s beside a team's own directory with Atlantis, which a test may change.
type checkout struct {
	t   testing.TB
	dir string
}

func newCheckout(t testing.TB) checkout {
	t.Helper()
	c := checkout{t, t.TempDir()}
	require.NoError(t, os.CopyFS(filepath.Join(c.dir, "k8s"), os.DirFS(filepath.Join(repository, "k8s"))))
	require.NoError(t, os.CopyFS(filepath.Join(c.dir, "atlantis"), os.DirFS("testdata")))
	return c
}

// edit replaces a text that must be there once in a file of the checkout.
func (c checkout) edit(file, old, new string) {
	c.t.Helper()
	path := filepath.Join(c.dir, file)
	content, err := os.ReadFile(path)
	require.NoError(c.t, err)
	require.Equal(c.t, 1, strings.Count(string(content), old), "%q in %s", old, file)
	require.NoError(c.t, os.WriteFile(path, []byte(strings.Replace(string(content), old, new, 1)), 0o644))
}

// kustomization is what a team writes: Atlantis, and components of k8s.
func kustomization(components ...string) string {
	text := "resources:\n- atlantis.yaml\ncomponents:\n"
	for _, name := range components {
		text += "- ../k8s/" + name + "\n"
	}
	return text
}

// render returns the objects of the team's kustomization as YAML documents.
func (c checkout) render(kustomization string) ([]string, error) {
	c.t.Helper()
	team := filepath.Join(c.dir, "atlantis")
	require.NoError(c.t, os.WriteFile(filepath.Join(team, "kustomization.yaml"), []byte(kustomization), 0o644))
	return renderDir(team)
}

func renderDir(dir string) ([]string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var documents []string
	for _, resource := range resources.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(document))
	}
	return documents, nil
}

// objects are what a kustomization gives, decoded.
type objects []runtime.Object

// apply renders components and requires that nothing is wrong with them.
func apply(t testing.TB, components ...string) objects {
	t.Helper()
	documents, err := newCheckout(t).render(kustomization(components...))
	require.NoError(t, err)
	all, problems := decode(documents)
	require.Empty(t, problems)
	return all
}

// find returns the objects of one type.
func find[T runtime.Object](all objects) []T {
	var found []T
	for _, object := range all {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// atlantis is the StatefulSet of that name, nil if there is none.
func (all objects) atlantis() *appsv1.StatefulSet {
	for _, set := range find[*appsv1.StatefulSet](all) {
		if set.Name == "atlantis" {
			return set
		}
	}
	return nil
}

func (all objects) configMap(name string) *corev1.ConfigMap {
	for _, m := range find[*corev1.ConfigMap](all) {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// container finds a container of a pod, whichever list it stands in.
func container(spec *corev1.PodSpec, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

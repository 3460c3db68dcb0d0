package manifests_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// values are the keys of the official chart that are used here.
type values struct {
	LockingDBType string `json:"lockingDbType"`
	Redis         struct {
		Host string `json:"host,omitempty"`
		Port int    `json:"port,omitempty"`
	} `json:"redis"`
	Grace           *int64             `json:"terminationGracePeriodSeconds,omitempty"`
	InitContainers  []corev1.Container `json:"initContainers,omitempty"`
	ExtraContainers []corev1.Container `json:"extraContainers,omitempty"`
}

// pod puts values where the chart puts them: read off the StatefulSet that charts 6.9.0 and 6.9.3 render.
func (v values) pod() *appsv1.StatefulSet {
	labels := map[string]string{"app": "atlantis"}
	atlantis := corev1.Container{
		Name: "atlantis",
		Env: []corev1.EnvVar{
			{Name: "ATLANTIS_DATA_DIR", Value: "/atlantis-data"}, {Name: "ATLANTIS_PORT", Value: "4141"},
			{Name: "ATLANTIS_LOCKING_DB_TYPE", Value: v.LockingDBType},
			{Name: "ATLANTIS_REDIS_HOST", Value: v.Redis.Host}, {Name: "ATLANTIS_REDIS_PORT", Value: strconv.Itoa(v.Redis.Port)},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "atlantis-data", MountPath: "/atlantis-data"}},
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "atlantis"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec = corev1.PodSpec{
		TerminationGracePeriodSeconds: v.Grace,
		InitContainers:                v.InitContainers,
		Containers:                    append([]corev1.Container{atlantis}, v.ExtraContainers...),
	}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "atlantis-data"}}}
	return set
}

func readValues(t *testing.T, dir, overlay string) values {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, "k8s/helm", dir, filepath.Base(overlay)+".yaml"))
	require.NoError(t, err)
	var v values
	require.NoError(t, yaml.UnmarshalStrict(content, &v))
	return v
}

// The values for the official chart make a pod as sound as the components do, for both generations of it, and with the
// same container but for what the chart does otherwise.
func TestHelmValuesMakeAPodThatWorks(t *testing.T) {
	for _, chart := range []struct {
		dir        string
		components []string
	}{{"6.9.1-and-later", nil}, {"before-6.9.1", []string{before129}}} {
		for _, p := range phases() {
			t.Run(chart.dir+"/"+p.mode, func(t *testing.T) {
				v := readValues(t, chart.dir, p.overlay)
				set := v.pod()
				text, err := yaml.Marshal(set)
				require.NoError(t, err)
				_, problems := decode([]string{"apiVersion: apps/v1\nkind: StatefulSet\n" + string(text)})
				require.Empty(t, problems)
				require.Empty(t, check(t, objects{set}, p.mode))

				overlay := apply(t, append([]string{p.overlay}, chart.components...)...).atlantis().Spec.Template.Spec
				want, have := container(&overlay, "lock-sidecar"), container(&set.Spec.Template.Spec, "lock-sidecar")
				require.Equal(t, want.Lifecycle, have.Lifecycle)
				require.Equal(t, want.StartupProbe, have.StartupProbe)
				require.Equal(t, want.LivenessProbe, have.LivenessProbe)
				require.Equal(t, want.SecurityContext, have.SecurityContext)
				require.Equal(t, want.Resources, have.Resources)
				require.Equal(t, want.RestartPolicy, have.RestartPolicy)
			})
		}
		v := readValues(t, chart.dir, rollback)
		require.Equal(t, "boltdb", v.LockingDBType)
		require.Empty(t, append(v.InitContainers, v.ExtraContainers...))
	}
}

package manifests_test

import (
	"fmt"
	"slices"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// checker collects what is wrong with objects.
type checker struct {
	t        testing.TB
	objects  objects
	problems []string
}

func (c *checker) fail(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// check returns what is wrong with objects that were decoded: references that lead nowhere, and a sidecar that would
// not do its work. A mode other than "" is the one that they must declare.
func check(t testing.TB, all objects, mode string) []string {
	t.Helper()
	c := &checker{t: t, objects: all}
	for _, set := range find[*appsv1.StatefulSet](all) {
		c.references(set)
	}
	c.others()
	if set := all.atlantis(); set != nil && mode != "" {
		c.pod(set, mode)
	}
	return c.problems
}

// references checks that the names within a StatefulSet are those of something.
func (c *checker) references(set *appsv1.StatefulSet) {
	spec := &set.Spec.Template.Spec
	if !c.selects(set.Spec.Selector, set.Spec.Template.Labels) {
		c.fail("%s does not select its own pods", set.Name)
	}
	volumes := c.volumes(set)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c.container(&list[i], volumes)
		}
	}
}

// volumes are the names that a pod can mount.
func (c *checker) volumes(set *appsv1.StatefulSet) (names []string) {
	for _, claim := range set.Spec.VolumeClaimTemplates {
		names = append(names, claim.Name)
	}
	for _, volume := range set.Spec.Template.Spec.Volumes {
		names = append(names, volume.Name)
		if m := volume.ConfigMap; m != nil && c.objects.configMap(m.Name) == nil {
			c.fail("volume %s is of the ConfigMap %s, which is not there", volume.Name, m.Name)
		}
	}
	return names
}

func (c *checker) container(container *corev1.Container, volumes []string) {
	for _, mount := range container.VolumeMounts {
		if !slices.Contains(volumes, mount.Name) {
			c.fail("container %s mounts the volume %s, which is not there", container.Name, mount.Name)
		}
	}
	for _, from := range container.EnvFrom {
		if m := from.ConfigMapRef; m != nil && c.objects.configMap(m.Name) == nil {
			c.fail("container %s takes its environment from the ConfigMap %s, which is not there", container.Name, m.Name)
		}
	}
	for _, env := range container.Env {
		if from := env.ValueFrom; from != nil && from.SecretKeyRef != nil && !documentedSecret(from.SecretKeyRef) {
			c.fail("container %s takes %s from a Secret that the documentation does not name", container.Name, env.Name)
		}
	}
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
		switch {
		case probe == nil:
		case probe.HTTPGet != nil:
			c.port("a probe of "+container.Name, probe.HTTPGet.Port, container.Ports)
		case probe.TCPSocket != nil:
			c.port("a probe of "+container.Name, probe.TCPSocket.Port, container.Ports)
		}
	}
}

// documentedSecret: docs/kubernetes.md tells to make this one.
func documentedSecret(ref *corev1.SecretKeySelector) bool {
	return ref.Name == "lock-sidecar-redis" && slices.Contains([]string{"addr", "password"}, ref.Key)
}

func (c *checker) port(who string, port intstr.IntOrString, ports []corev1.ContainerPort) {
	if !slices.ContainsFunc(ports, func(p corev1.ContainerPort) bool {
		return port == intstr.FromString(p.Name) || port == intstr.FromInt32(p.ContainerPort)
	}) {
		c.fail("%s uses port %s, which no container has", who, port.String())
	}
}

func (c *checker) selects(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		c.fail("selector: %v", err)
		return false
	}
	return !s.Empty() && s.Matches(labels.Set(of))
}

// pods returns the ports of all pods with labels that a selector selects; there must be some.
func (c *checker) pods(who string, selector *metav1.LabelSelector) (ports []corev1.ContainerPort) {
	found := false
	for _, set := range find[*appsv1.StatefulSet](c.objects) {
		if !c.selects(selector, set.Spec.Template.Labels) {
			continue
		}
		found = true
		for _, list := range [][]corev1.Container{set.Spec.Template.Spec.InitContainers, set.Spec.Template.Spec.Containers} {
			for _, one := range list {
				ports = append(ports, one.Ports...)
			}
		}
	}
	if !found {
		c.fail("%s selects no pod", who)
	}
	return ports
}

// others checks the objects that point to pods.
func (c *checker) others() {
	for _, service := range find[*corev1.Service](c.objects) {
		ports := c.pods("Service "+service.Name, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
		for _, port := range service.Spec.Ports {
			c.port("Service "+service.Name, port.TargetPort, ports)
		}
	}
	for _, policy := range find[*networkingv1.NetworkPolicy](c.objects) {
		ports := c.pods("NetworkPolicy "+policy.Name, &policy.Spec.PodSelector)
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				c.port("NetworkPolicy "+policy.Name, *port.Port, ports)
			}
		}
	}
	for _, budget := range find[*policyv1.PodDisruptionBudget](c.objects) {
		c.pods("PodDisruptionBudget "+budget.Name, budget.Spec.Selector)
	}
	for _, monitor := range find[*monitoringv1.PodMonitor](c.objects) {
		ports := c.pods("PodMonitor "+monitor.Name, &monitor.Spec.Selector)
		for _, endpoint := range monitor.Spec.PodMetricsEndpoints {
			c.port("PodMonitor "+monitor.Name, intstr.FromString(*endpoint.Port), ports)
			if !slices.Contains(httpPaths(), endpoint.Path) {
				c.fail("PodMonitor %s scrapes %s, which the sidecar does not serve", monitor.Name, endpoint.Path)
			}
		}
	}
}

// httpPaths is what the metrics listener serves; TestPathsAreServed asks a sidecar.
func httpPaths() []string { return []string{"/livez", "/readyz", "/startupz", "/metrics"} }

package manifests_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// decode reads documents as the API server does with strict validation: an unknown or repeated field and a value of a
// wrong type are problems. So is a word that an enumeration does not have, which the types do not know.
func decode(documents []string) (objects, []string) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, []string{err.Error()}
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, known, known, json.SerializerOptions{Yaml: true, Strict: true})
	var (
		all      objects
		problems []string
	)
	for _, document := range documents {
		object, kind, err := strict.Decode([]byte(document), nil, nil)
		if err != nil {
			problems = append(problems, fmt.Sprintf("decode: %v", err))
			continue
		}
		all = append(all, object)
		problems = append(problems, words(kind.Kind, reflect.ValueOf(object))...)
	}
	return all, problems
}

// enumerations are the words that fields of these types take, as the API reference has them.
func enumerations() map[reflect.Type][]string {
	of := func(example any, words ...string) (reflect.Type, []string) { return reflect.TypeOf(example), words }
	table := map[reflect.Type][]string{}
	add := func(t reflect.Type, words []string) { table[t] = words }
	add(of(corev1.PullPolicy(""), "Always", "Never", "IfNotPresent"))
	add(of(corev1.ContainerRestartPolicy(""), "Always", "Never", "OnFailure"))
	add(of(corev1.Protocol(""), "TCP", "UDP", "SCTP"))
	add(of(corev1.URIScheme(""), "HTTP", "HTTPS"))
	add(of(corev1.SeccompProfileType(""), "RuntimeDefault", "Unconfined", "Localhost"))
	add(of(corev1.PersistentVolumeAccessMode(""), "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"))
	add(of(corev1.Capability(""), "ALL"))
	add(of(corev1.SecretType(""), "Opaque"))
	add(of(networkingv1.PolicyType(""), "Ingress", "Egress"))
	add(of(policyv1.UnhealthyPodEvictionPolicyType(""), "IfHealthyBudget", "AlwaysAllow"))
	return table
}

// free are the types of strings that are no enumeration.
func free(t reflect.Type) bool {
	return slices.Contains([]string{"ResourceName", "ClusterIP", "Duration", "Format"}, t.Name()) || t == reflect.TypeFor[string]()
}

// words walks through an object. A named type of strings that nobody has listed is a problem too, so that the table
// can't fall behind.
func words(at string, v reflect.Value) (problems []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return words(at, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				problems = append(problems, words(at+"."+field.Name, v.Field(i))...)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			problems = append(problems, words(fmt.Sprintf("%s[%d]", at, i), v.Index(i))...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			problems = append(problems, words(fmt.Sprintf("%s[%v]", at, key), v.MapIndex(key))...)
		}
	case reflect.String:
		if text := v.String(); text != "" && !free(v.Type()) {
			if allowed := enumerations()[v.Type()]; !slices.Contains(allowed, text) {
				return []string{fmt.Sprintf("%s is %s; %s has %s", at, text, v.Type(), strings.Join(allowed, ", "))}
			}
		}
	}
	return problems
}

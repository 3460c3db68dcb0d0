// Package manifests checks what stands in k8s and docker-compose.yml: that it renders, that Kubernetes knows every
// field, that its parts refer to each other and to what the binary has, and that a pod made from it works.
//
// It is a module of its own, so that the types of Kubernetes add nothing to what the product depends on. It must not be
// imported.
package manifests

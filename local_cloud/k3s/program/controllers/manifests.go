package controllers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"
)

const (
	manifestsInterval = 3 * time.Second
	fieldOwner        = "deploy@k3s"
	yamlBuffer        = 4096
)

// Manifests applies the files of a folder, again when one changes. Removing a file removes nothing from the cluster,
// as in K3s: docs.k3s.io/installation/packaged-components#user-addons.
type Manifests struct {
	Folder  string
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Disabled are manifests whose objects are deleted.
	Disabled map[string][]byte

	mapper  *restmapper.DeferredDiscoveryRESTMapper
	applied map[string][sha256.Size]byte
}

// Run works until ctx ends.
func (m *Manifests) Run(ctx context.Context) {
	m.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(m.Client.Discovery()))
	m.applied = map[string][sha256.Size]byte{}
	for {
		m.removeDisabled(ctx)
		m.applyFolder(ctx)
		select {
		case <-time.After(manifestsInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manifests) applyFolder(ctx context.Context) {
	err := filepath.WalkDir(m.Folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || ctx.Err() != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
		default:
			return nil
		}
		if _, err := os.Stat(path + ".skip"); err == nil {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		if m.applied[path] == sum {
			return nil
		}
		if err := m.each(text, func(object *unstructured.Unstructured) error { return m.apply(ctx, object) }); err != nil {
			klog.ErrorS(err, "Manifest not applied; trying again", "file", path)
			m.mapper.Reset()
			return nil
		}
		klog.InfoS("Applied manifest", "file", path)
		m.applied[path] = sum
		return nil
	})
	if err != nil {
		klog.ErrorS(err, "The manifests cannot be read", "folder", m.Folder)
	}
}

func (m *Manifests) removeDisabled(ctx context.Context) {
	for name, text := range m.Disabled {
		err := m.each(text, func(object *unstructured.Unstructured) error {
			resource, err := m.resource(object)
			if err != nil {
				return err
			}
			err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
		if err != nil {
			klog.ErrorS(err, "Disabled component not removed; trying again", "component", name)
			continue
		}
		delete(m.Disabled, name)
	}
}

func (m *Manifests) each(text []byte, do func(*unstructured.Unstructured) error) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), yamlBuffer)
	problems := []error{}
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return errors.Join(problems...)
		}
		if err != nil {
			return errors.Join(append(problems, err)...)
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := do(object); err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", strings.ToLower(object.GetKind()), object.GetName(), err))
		}
	}
}

func (m *Manifests) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := m.resource(object)
	if err != nil {
		return err
	}
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldOwner, Force: true})
	return err
}

func (m *Manifests) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := m.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return m.Dynamic.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return m.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

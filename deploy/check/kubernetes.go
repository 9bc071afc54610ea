package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	operator "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	reader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// types says by what each kind of the chart is decoded.
var types = map[string]func() any{
	"v1/ConfigMap":                            func() any { return &core.ConfigMap{} },
	"v1/Pod":                                  func() any { return &core.Pod{} },
	"v1/Secret":                               func() any { return &core.Secret{} },
	"v1/Service":                              func() any { return &core.Service{} },
	"v1/ServiceAccount":                       func() any { return &core.ServiceAccount{} },
	"apps/v1/Deployment":                      func() any { return &apps.Deployment{} },
	"apps/v1/StatefulSet":                     func() any { return &apps.StatefulSet{} },
	"batch/v1/Job":                            func() any { return &batch.Job{} },
	"networking.k8s.io/v1/Ingress":            func() any { return &networking.Ingress{} },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return &networking.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":           func() any { return &policy.PodDisruptionBudget{} },
	"keda.sh/v1alpha1/ScaledObject":           func() any { return &keda.ScaledObject{} },
	"keda.sh/v1alpha1/TriggerAuthentication":  func() any { return &keda.TriggerAuthentication{} },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return &operator.ServiceMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return &operator.PrometheusRule{} },
}

// decodeManifests prints each document as a line of JSON, and fails if one of them is not what its kind says.
func decodeManifests(input io.Reader) error {
	documents := reader.NewYAMLReader(bufio.NewReader(input))
	var mistakes []error
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(mistakes...)
		}
		if err != nil {
			return err
		}
		if line, err := decode(text); err != nil {
			mistakes = append(mistakes, err)
		} else if line != "" {
			fmt.Println(line)
		}
	}
}

// decode checks one document; the line is empty for one that holds nothing but comments.
func decode(text []byte) (string, error) {
	var header struct {
		meta.TypeMeta `json:",inline"`
		Metadata      meta.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(text, &header); err != nil {
		return "", err
	}
	if header.Kind == "" {
		return "", nil
	}
	name := header.APIVersion + "/" + header.Kind
	object, known := types[name]
	if !known {
		return "", fmt.Errorf("%s %s: nothing here decodes this kind", name, header.Metadata.Name)
	}
	if err := yaml.UnmarshalStrict(text, object()); err != nil {
		return "", fmt.Errorf("%s %s: %w", name, header.Metadata.Name, err)
	}
	line, err := yaml.YAMLToJSON(text)
	return string(line), err
}

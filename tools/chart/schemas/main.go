// Command schemas makes JSON Schemas of the Kubernetes objects that the chart
// writes, one file a kind, from the OpenAPI description inside the Kubernetes
// module. Objects are closed: a misspelt field is an error.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kinds are those the chart writes, by their names in the description; the file
// names are what kubeconform asks for.
var kinds = map[string]string{
	"io.k8s.api.apps.v1.Deployment":            "deployment-apps-v1",
	"io.k8s.api.apps.v1.StatefulSet":           "statefulset-apps-v1",
	"io.k8s.api.batch.v1.Job":                  "job-batch-v1",
	"io.k8s.api.core.v1.ConfigMap":             "configmap-v1",
	"io.k8s.api.core.v1.PersistentVolumeClaim": "persistentvolumeclaim-v1",
	"io.k8s.api.core.v1.Pod":                   "pod-v1",
	"io.k8s.api.core.v1.Service":               "service-v1",
	"io.k8s.api.core.v1.ServiceAccount":        "serviceaccount-v1",
	"io.k8s.api.networking.v1.NetworkPolicy":   "networkpolicy-networking-v1",
	"io.k8s.api.policy.v1.PodDisruptionBudget": "poddisruptionbudget-policy-v1",
}

func main() {
	version := flag.String("kubernetes", "", "version of the Kubernetes module")
	out := flag.String("out", "", "folder to make")
	flag.Parse()
	if err := run(*version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(version, out string) error {
	work, err := os.MkdirTemp("", "schemas-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	cmd := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	cmd.Dir = work // outside any module: nothing here depends on it
	b, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("fetching k8s.io/kubernetes@%s: %w: %s", version, err, b)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(b, &module); err != nil {
		return fmt.Errorf("reading where the module is: %w", err)
	}
	b, err = os.ReadFile(filepath.Join(module.Dir, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return fmt.Errorf("reading the description: %w", err)
	}
	var api struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(b, &api); err != nil {
		return fmt.Errorf("decoding the description: %w", err)
	}
	part := out + ".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("clearing %s: %w", part, err)
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", part, err)
	}
	for name, file := range kinds {
		if err := write(api.Definitions, name, filepath.Join(part, file+".json")); err != nil {
			return err
		}
	}
	return os.Rename(part, out)
}

// write makes a schema that stands alone: the kind and every definition it reaches.
func write(all map[string]map[string]any, name, file string) error {
	if all[name] == nil {
		return fmt.Errorf("no definition of %s", name)
	}
	reached := map[string]any{}
	todo := []string{name}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if reached[next] != nil {
			continue
		}
		reached[next] = closed(next, all[next], func(ref string) { todo = append(todo, ref) })
	}
	b, err := json.Marshal(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/" + name, "definitions": reached,
	})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	return os.WriteFile(file, b, 0o644)
}

// closed copies one definition without its prose, and forbids what it does not name.
func closed(name string, definition map[string]any, reach func(string)) any {
	switch name {
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity":
		return map[string]any{"type": []string{"string", "number"}}
	}
	out, ok := bare(definition, reach).(map[string]any)
	if !ok {
		return definition
	}
	if _, has := out["properties"]; has && out["additionalProperties"] == nil {
		out["additionalProperties"] = false
	}
	return out
}

// bare drops prose and extensions; it tells apart a keyword from a property of the
// same name.
func bare(v any, reach func(string)) any {
	schema, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for key, value := range schema {
		switch {
		case key == "description" || strings.HasPrefix(key, "x-kubernetes") || key == "format":
		case key == "$ref":
			ref, _ := value.(string)
			reach(strings.TrimPrefix(ref, "#/definitions/"))
			out[key] = value
		case key == "properties":
			properties := map[string]any{}
			all, _ := value.(map[string]any)
			for name, property := range all {
				properties[name] = bare(property, reach)
			}
			out[key] = properties
		case key == "items" || key == "additionalProperties":
			out[key] = bare(value, reach)
		default:
			out[key] = value
		}
	}
	return out
}

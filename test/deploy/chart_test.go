package deploy_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pods are the pod templates of a render by the name of their owner.
func pods(docs []map[string]any) map[string]any {
	found := map[string]any{}
	for _, doc := range docs {
		name := text(at(doc, "metadata", "name"))
		switch doc["kind"] {
		case "Deployment", "StatefulSet", "Job":
			found[name] = at(doc, "spec", "template", "spec")
		case "Pod":
			found[name] = doc["spec"]
		}
	}
	return found
}

// TestChart reads the golden renders, which tools/chart/check holds equal to what
// the chart writes today.
func TestChart(t *testing.T) {
	names := services(t)
	golden, err := filepath.Glob(filepath.Join(root, "helm/stockweave/tests/golden/*.yaml"))
	if err != nil || len(golden) == 0 {
		t.Fatalf("golden renders %v, %v", golden, err)
	}
	for _, path := range golden {
		render := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(render, func(t *testing.T) {
			docs := documents(t, "helm/stockweave/tests/golden/"+filepath.Base(path))
			for name, pod := range pods(docs) {
				lockedDown(t, name, pod)
			}
			for _, doc := range docs {
				if doc["kind"] == "ConfigMap" && at(doc, "metadata", "annotations") == nil {
					valid(t, names, text(at(doc, "data", "config.yaml")))
				}
			}
		})
	}
	docs := documents(t, "helm/stockweave/tests/golden/least.yaml")
	t.Run("folders are of ingest alone, and outlive the release", func(t *testing.T) {
		full := documents(t, "helm/stockweave/tests/golden/full.yaml")
		for name, pod := range pods(full) {
			mounted := 0
			for _, c := range list(at(pod, "containers")) {
				for _, m := range list(at(c, "volumeMounts")) {
					if strings.HasPrefix(text(at(m, "name")), "folder-") {
						mounted++
					}
				}
			}
			if want := map[bool]int{true: 2}[strings.HasSuffix(name, "-ingest")]; mounted != want {
				t.Errorf("%s mounts %d folders, want %d", name, mounted, want)
			}
		}
		claims := 0
		for _, doc := range full {
			if doc["kind"] == "PersistentVolumeClaim" {
				claims++
				if at(doc, "metadata", "annotations", "helm.sh/resource-policy") != "keep" {
					t.Error("a claim with partners' files goes with the release")
				}
			}
		}
		if claims != 1 {
			t.Errorf("%d claims", claims)
		}
	})
	t.Run("every service", func(t *testing.T) {
		all := pods(docs)
		for _, name := range names {
			pod := all["stockweave-"+name]
			if pod == nil {
				t.Errorf("%s is not deployed", name)
				continue
			}
			for _, c := range list(at(pod, "containers")) {
				for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
					if at(c, probe) == nil {
						t.Errorf("%s has no %s", name, probe)
					}
				}
				if !slices.ContainsFunc(list(at(c, "env")), func(e any) bool { return at(e, "name") == "GOMEMLIMIT" }) {
					t.Errorf("%s does not know its memory limit", name)
				}
				if args := list(at(c, "args")); len(args) == 0 || args[0] != name {
					t.Errorf("%s runs %v", name, args)
				}
			}
		}
	})
	t.Run("tested", func(t *testing.T) {
		i := slices.IndexFunc(docs, func(d map[string]any) bool { return d["kind"] == "Pod" })
		if i < 0 {
			t.Fatal("helm test would find nothing to run")
		}
		if hook := text(at(docs[i], "metadata", "annotations", "helm.sh/hook")); hook != "test" {
			t.Errorf("the test runs at %q", hook)
		}
		for _, name := range names {
			if !slices.ContainsFunc(list(at(docs[i], "spec", "containers")), func(c any) bool { return at(c, "name") == name }) {
				t.Errorf("helm test does not ask %s", name)
			}
		}
	})
	t.Run("stable identity", func(t *testing.T) {
		for _, doc := range docs {
			name := text(at(doc, "metadata", "labels", "app.kubernetes.io/component"))
			if doc["kind"] == "Deployment" && name != "ingest" {
				t.Errorf("%s consumes and must be a StatefulSet", name)
			}
		}
	})
	t.Run("applied first", func(t *testing.T) {
		i := slices.IndexFunc(docs, func(d map[string]any) bool { return d["kind"] == "Job" })
		if i < 0 {
			t.Fatal("no job")
		}
		if hook := text(at(docs[i], "metadata", "annotations", "helm.sh/hook")); hook != "pre-install,pre-upgrade" {
			t.Errorf("the job runs at %q", hook)
		}
		rules := list(at(docs[i], "spec", "podFailurePolicy", "rules"))
		if len(rules) == 0 || at(rules[0], "action") != "FailJob" {
			t.Errorf("a refused configuration is tried again: %v", rules)
		}
	})
}

func lockedDown(t *testing.T, name string, pod any) {
	t.Helper()
	if at(pod, "automountServiceAccountToken") != false {
		t.Errorf("%s gets a service account token", name)
	}
	if at(pod, "securityContext", "runAsNonRoot") != true || at(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
		t.Errorf("%s: pod security %v", name, at(pod, "securityContext"))
	}
	containers := slices.Concat(list(at(pod, "initContainers")), list(at(pod, "containers")))
	if len(containers) == 0 {
		t.Errorf("%s has no containers", name)
	}
	for _, c := range containers {
		sc := at(c, "securityContext")
		if at(sc, "allowPrivilegeEscalation") != false || at(sc, "readOnlyRootFilesystem") != true || !slices.Equal(list(at(sc, "capabilities", "drop")), []any{"ALL"}) {
			t.Errorf("%s: container security %v", name, sc)
		}
		if at(c, "resources", "limits", "memory") == nil || at(c, "resources", "requests", "memory") == nil {
			t.Errorf("%s: %v has no memory bounds", name, at(c, "name"))
		}
	}
}

// Writes stories of applies and updates of a Deployment, and what Kubernetes' own merge (structured-merge-diff) makes of each step.
// See README.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"sort"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

type object = map[string]any

// one version only
type same struct{}

func (same) Convert(o *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return o, nil
}
func (same) IsMissingVersionError(error) bool { return false }

type step struct {
	Op        string         `json:"op"`
	Manager   string         `json:"manager"`
	Force     bool           `json:"force,omitempty"`
	Object    any            `json:"object"`
	Conflicts []string       `json:"conflicts,omitempty"`
	Live      any            `json:"live,omitempty"`
	Managers  map[string]any `json:"managers,omitempty"`
}

var dice *rand.Rand

func chance(percent int) bool { return dice.Intn(100) < percent }

func pick[T any](all ...T) T { return all[dice.Intn(len(all))] }

// names in a random order, each there or not; twice if duplicates are allowed
func some(twice bool, names ...string) []string {
	dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:dice.Intn(len(names)+1)]
	if twice && len(names) > 0 && chance(8) {
		names = append(names, names[0])
	}
	return names
}

func words(names ...string) any {
	if chance(4) {
		return nil
	}
	out := object{}
	for _, name := range some(false, names...) {
		out[name] = pick("1", "2")
	}
	return out
}

func list(twice bool, of func(string) any, names ...string) any {
	if chance(3) {
		return nil
	}
	out := []any{}
	for _, name := range some(twice, names...) {
		out = append(out, of(name))
	}
	return out
}

func container(twice bool) func(string) any {
	return func(name string) any {
		out := object{"name": name}
		if chance(60) {
			out["image"] = pick("i:1", "i:2")
		}
		if chance(50) {
			out["env"] = list(twice, func(name string) any { return object{"name": name, "value": pick("1", "2")} }, "A", "B", "C")
		}
		if chance(40) {
			out["ports"] = list(twice, func(name string) any {
				port := object{"containerPort": int64(80 + len(name))}
				if name[0] != 'x' {
					port["protocol"] = strings.ToUpper(name[:3])
				}
				if chance(40) {
					port["name"] = pick("n", "m")
				}
				return port
			}, "x", "xx", "udp", "sctp", "tcp")
		}
		if chance(30) {
			out["args"] = pick([]any{"a"}, []any{"b", "c"}, []any{})
		}
		if chance(30) {
			out["resources"] = object{"limits": words("cpu", "memory")}
		}
		return out
	}
}

func deployment(twice bool) object {
	metadata := object{"name": "d"}
	if chance(50) {
		metadata["labels"] = words("a", "b", "c")
	}
	if chance(30) {
		metadata["finalizers"] = list(twice, func(name string) any { return name }, "x/a", "x/b", "x/c")
	}
	spec, pod := object{}, object{}
	if chance(40) {
		spec["replicas"] = pick[any](int64(0), int64(1), int64(2), nil)
	}
	if chance(20) {
		spec["paused"] = pick(true, false)
	}
	if chance(30) {
		spec["selector"] = object{"matchLabels": words("a", "b")}
	}
	if chance(30) {
		spec["strategy"] = pick(object{"type": "Recreate"}, object{"type": "RollingUpdate", "rollingUpdate": object{"maxSurge": int64(1)}}, object{"rollingUpdate": nil}, object{})
	}
	if chance(70) {
		pod["containers"] = list(twice, container(twice), "c", "d", "e")
	}
	if chance(20) {
		pod["nodeSelector"] = words("a", "b")
	}
	if chance(25) {
		pod["volumes"] = list(twice, func(name string) any {
			return pick(object{"name": name}, object{"name": name, "emptyDir": object{}}, object{"name": name, "configMap": object{"name": "m"}})
		}, "v", "w")
	}
	if chance(15) {
		pod["topologySpreadConstraints"] = list(twice, func(name string) any {
			return object{"topologyKey": name, "whenUnsatisfiable": pick("DoNotSchedule", "ScheduleAnyway"), "maxSkew": int64(dice.Intn(2) + 1)}
		}, "t", "u")
	}
	if len(pod) > 0 || chance(10) {
		spec["template"] = object{"metadata": object{"labels": words("a", "b")}, "spec": pod}
	}
	return object{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
}

// what json says of it, so that both sides read the same
func plain(v any) any {
	text, err := json.Marshal(v)
	must(err)
	var out any
	must(json.Unmarshal(text, &out))
	return out
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func story(parser typed.ParseableType, steps int) []step {
	updater := merge.Updater{Converter: same{}}
	// what is there before is owned by nobody, as defaults are
	first := step{Op: "start", Object: deployment(false)}
	live, err := parser.FromUnstructured(plain(first.Object))
	must(err)
	managers := fieldpath.ManagedFields{}
	out := []step{first}
	for len(out) < steps {
		one := step{Op: pick("apply", "apply", "update")}
		kept := fieldpath.ManagedFields{}
		for name, set := range managers {
			kept[name] = set
		}
		var after *typed.TypedValue
		switch one.Op {
		case "apply":
			one.Manager, one.Force, one.Object = pick("a", "b"), chance(50), deployment(false)
			wanted, err := parser.FromUnstructured(plain(one.Object))
			must(err)
			result, owners, err := updater.Apply(live, wanted, "apps/v1", kept, one.Manager, one.Force)
			if conflicts, ok := err.(merge.Conflicts); ok {
				for _, conflict := range conflicts {
					one.Conflicts = append(one.Conflicts, fmt.Sprintf("%s %s", conflict.Manager, conflict.Path))
				}
				sort.Strings(one.Conflicts)
				out = append(out, one) // nothing has changed
				continue
			}
			must(err)
			after, managers = result, owners
		case "update":
			one.Manager, one.Object = pick("u", "v"), deployment(true)
			if chance(60) { // a part of it only
				changed := plain(value.NewValueInterface(live.AsValue().Unstructured()).Unstructured()).(object)
				for key, part := range one.Object.(object)["spec"].(object) {
					if changed["spec"] == nil {
						changed["spec"] = object{}
					}
					changed["spec"].(object)[key] = part
					break
				}
				one.Object = changed
			}
			next, err := parser.FromUnstructured(plain(one.Object), typed.AllowDuplicates)
			must(err)
			after, managers, err = updater.Update(live, next, "apps/v1", kept, one.Manager)
			must(err)
		}
		if after != nil {
			live = after
		}
		one.Live, one.Managers = live.AsValue().Unstructured(), object{}
		for name, set := range managers {
			text, err := set.Set().ToJSON()
			must(err)
			one.Managers[name] = json.RawMessage(text)
		}
		out = append(out, one)
	}
	return out
}

func main() {
	count, seed, steps := flag.Int("stories", 40, ""), flag.Int64("seed", 1, ""), flag.Int("steps", 7, "")
	flag.Parse()
	dice = rand.New(rand.NewSource(*seed))
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/client-go").Output()
	must(err)
	source, err := os.ReadFile(strings.TrimSpace(string(folder)) + "/applyconfigurations/internal/internal.go")
	must(err)
	// the schema is a constant of a package that may not be imported
	_, rest, _ := strings.Cut(string(source), "typed.YAMLObject(`")
	schema, _, _ := strings.Cut(rest, "`")
	parser, err := typed.NewParser(typed.YAMLObject(schema))
	must(err)
	print := json.NewEncoder(os.Stdout)
	print.SetEscapeHTML(false)
	for range *count {
		must(print.Encode(story(parser.Type("io.k8s.api.apps.v1.Deployment"), *steps)))
	}
}

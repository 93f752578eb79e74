// Writes ../types.tsv: what Go's struct tags, and the OpenAPI documents of a real API server, say of every built-in type.
//
//	KUBECONFIG=… go run . > ../types.tsv
//
// The server that kubectl reaches must be a kube-apiserver of the version in go.mod: never skiff, whose documents are made from the table.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"

	admission "k8s.io/api/admission/v1"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	certificates "k8s.io/api/certificates/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	flowcontrol "k8s.io/api/flowcontrol/v1"
	networking "k8s.io/api/networking/v1"
	node "k8s.io/api/node/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	resourceapi "k8s.io/api/resource/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Types that decode themselves.
var special = map[reflect.Type]string{
	reflect.TypeFor[meta.Time]():                                  "time",
	reflect.TypeFor[meta.MicroTime]():                             "microtime",
	reflect.TypeFor[resource.Quantity]():                          "quantity",
	reflect.TypeFor[intstr.IntOrString]():                         "intorstring",
	reflect.TypeFor[runtime.RawExtension]():                       "raw",
	reflect.TypeFor[meta.FieldsV1]():                              "fieldsv1",
	reflect.TypeFor[apiextensions.JSON]():                         "json",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        "schemaorbool",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       "schemaorarray",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): "schemaorstrings",
}

// What OpenAPI says of a type or of a field.
type schema struct {
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Default    json.RawMessage   `json:"default"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	ListType   string            `json:"x-kubernetes-list-type"`
	ListKeys   []string          `json:"x-kubernetes-list-map-keys"`
	MapType    string            `json:"x-kubernetes-map-type"`
	Unions     json.RawMessage   `json:"x-kubernetes-unions"`
}

func main() {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admission.AddToScheme, admissionregistration.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme, apps.AddToScheme,
		authentication.AddToScheme, authorization.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, batch.AddToScheme,
		certificates.AddToScheme, coordination.AddToScheme, core.AddToScheme, discovery.AddToScheme, events.AddToScheme, flowcontrol.AddToScheme,
		meta.AddMetaToScheme, networking.AddToScheme, node.AddToScheme, policy.AddToScheme, rbac.AddToScheme, resourceapi.AddToScheme,
		scheduling.AddToScheme, storage.AddToScheme,
	} {
		must(add(scheme))
	}
	kinds := map[reflect.Type][]string{}
	found := map[reflect.Type]bool{}
	for gvk, t := range scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal {
			kinds[t] = append(kinds[t], gvk.Group+"/"+gvk.Version+"/"+gvk.Kind)
			collect(t, found)
		}
	}
	schemas := openapi()
	var types []reflect.Type
	for t := range found {
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b reflect.Type) int { return strings.Compare(name(a), name(b)) })
	fmt.Println("# Every built-in type of Kubernetes 1.35. See README.md.")
	for _, t := range types {
		// options are kinds of every group and version
		if len(kinds[t]) > 5 {
			kinds[t] = []string{"*/*/" + t.Name()}
		}
		slices.Sort(kinds[t])
		row("T", name(t), t.String(), strings.Join(kinds[t], ","), schemas[name(t)].MapType, compact(schemas[name(t)].Unions))
		for i := range t.NumField() {
			field(t.Field(i), schemas[name(t)])
		}
	}
}

// Every struct that a type holds, but those that decode themselves.
func collect(t reflect.Type, found map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || found[t] || special[t] != "" || t == reflect.TypeFor[meta.TypeMeta]() {
		return
	}
	found[t] = true
	for i := range t.NumField() {
		if tag, ok := t.Field(i).Tag.Lookup("json"); ok && tag != "-" {
			collect(t.Field(i).Type, found)
		}
	}
}

func field(f reflect.StructField, parent schema) {
	tag, ok := f.Tag.Lookup("json")
	if !ok || tag == "-" {
		return
	}
	options := strings.Split(tag, ",")
	number := "0"
	if wire := strings.Split(f.Tag.Get("protobuf"), ","); len(wire) > 1 {
		number = wire[1]
	}
	switch {
	case f.Type == reflect.TypeFor[meta.TypeMeta]():
		row("M")
		return
	case options[0] == "":
		row("E", f.Name, name(f.Type), number)
		return
	}
	said := parent.Properties[options[0]]
	flags := ""
	for flag, set := range map[string]bool{
		"p": f.Type.Kind() == reflect.Pointer, "e": slices.Contains(options, "omitempty"), "z": slices.Contains(options, "omitzero"), "r": slices.Contains(parent.Required, options[0]),
	} {
		if set {
			flags += flag
		}
	}
	letters := strings.Split(flags, "")
	slices.SortFunc(letters, func(a, b string) int { return strings.Index("pezr", a) - strings.Index("pezr", b) })
	enum := said.Enum
	if said.Items != nil && len(enum) == 0 {
		enum = said.Items.Enum
	}
	kind, shape, inner := value(f.Type)
	reference := ""
	if kind == "message" {
		reference = name(inner)
	}
	row("F", options[0], kind, shape, reference, f.Type.String(), strings.Join(letters, ""), number, compact(said.Default), strings.Join(enum, ","),
		said.ListType, strings.Join(said.ListKeys, ","), f.Tag.Get("patchStrategy"), f.Tag.Get("patchMergeKey"), said.MapType)
}

// The kind and shape of a field, and the type of its values.
func value(t reflect.Type) (kind, shape string, inner reflect.Type) {
	shape = "one"
	for {
		if named := special[t]; named != "" {
			return named, shape, t
		}
		switch t.Kind() {
		case reflect.Pointer:
		case reflect.Slice:
			if t.Elem().Kind() == reflect.Uint8 {
				return "bytes", shape, t
			}
			shape = "list"
		case reflect.Map:
			shape = "map"
			if e := t.Elem(); e.Kind() == reflect.Slice && e.Elem().Kind() != reflect.Uint8 {
				return "string", "map-of-list", e.Elem()
			}
		case reflect.Interface:
			return "json", shape, t
		case reflect.Struct:
			return "message", shape, t
		case reflect.String:
			return "string", shape, t
		case reflect.Bool:
			return "bool", shape, t
		case reflect.Int32:
			return "int32", shape, t
		case reflect.Int, reflect.Int64:
			return "int64", shape, t
		case reflect.Float64:
			return "double", shape, t
		default:
			panic(fmt.Sprint("no kind for ", t))
		}
		t = t.Elem()
	}
}

// As OpenAPI names it: io.k8s.api.core.v1.Pod.
func name(t reflect.Type) string {
	return strings.ReplaceAll(strings.Replace(t.PkgPath(), "k8s.io/", "io.k8s.", 1), "/", ".") + "." + t.Name()
}

// The schemas of every document that the server has.
func openapi() map[string]schema {
	var index struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	get("/openapi/v3", &index)
	all := map[string]schema{}
	for _, document := range index.Paths {
		var parsed struct {
			Components struct {
				Schemas map[string]schema `json:"schemas"`
			} `json:"components"`
		}
		get(document.URL, &parsed)
		for name, one := range parsed.Components.Schemas {
			all[name] = one
		}
	}
	return all
}

func get(path string, into any) {
	raw, err := exec.Command("kubectl", "get", "--raw", path).Output()
	must(err)
	must(json.Unmarshal(raw, into))
}

func compact(text json.RawMessage) string {
	var out bytes.Buffer
	if len(text) > 0 {
		must(json.Compact(&out, text))
	}
	return out.String()
}

func row(columns ...string) {
	fmt.Println(strings.TrimRight(strings.Join(columns, "\t"), "\t"))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

package pages_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// A schema is a JSON schema, as far as the document uses it.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]schema
	Required   []string
	Items      *schema
	Additional *schema `json:"additionalProperties"`
}

type operation struct {
	Summary     string
	RequestBody struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema schema }
	}
}

type openAPI struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Servers []struct{ URL string }
	Paths   map[string]struct {
		Parameters []struct{ Name, In string }
		Get, Post  *operation
	}
	Components struct{ Schemas map[string]schema }
}

// fits returns what is wrong with a value, by a schema. Every property must be described.
func (d openAPI) fits(s schema, value any, at string) (faults []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = d.Components.Schemas[name]
	}
	is := ""
	switch value := value.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		is = "integer"
	case []any:
		is = "array"
		for i, item := range value {
			if s.Items != nil {
				faults = append(faults, d.fits(*s.Items, item, fmt.Sprint(at, "[", i, "]"))...)
			}
		}
	case map[string]any:
		is = "object"
		for _, name := range s.Required {
			if _, ok := value[name]; !ok {
				faults = append(faults, at+" has no "+name)
			}
		}
		for name, item := range value {
			switch of, ok := s.Properties[name]; {
			case ok:
				faults = append(faults, d.fits(of, item, at+"."+name)...)
			case s.Additional != nil:
				faults = append(faults, d.fits(*s.Additional, item, at+"."+name)...)
			case s.Type != "":
				faults = append(faults, at+" has "+name)
			}
		}
	}
	if s.Type != "" && s.Type != is {
		faults = append(faults, fmt.Sprintf("%s is %v and not of type %s", at, value, s.Type))
	}
	return faults
}

// described returns what is wrong with an answer, by the document.
func (d openAPI) described(o *operation, r response) []string {
	if o == nil {
		return []string{"the method is not described"}
	}
	described, ok := o.Responses[fmt.Sprint(r.status)]
	if !ok {
		described, ok = o.Responses[fmt.Sprint(r.status/100)+"XX"]
	}
	if !ok {
		return []string{fmt.Sprint("the status ", r.status, " is not described")}
	}
	if len(described.Content) == 0 {
		return nil // a file
	}
	content, ok := described.Content[r.header.Get("Content-Type")]
	if !ok {
		return []string{"the type " + r.header.Get("Content-Type") + " is not described"}
	}
	var value any
	if err := json.Unmarshal([]byte(r.body), &value); err != nil {
		return []string{err.Error()}
	}
	return d.fits(content.Schema, value, "answer")
}

// TestOpenAPI (J6): the document describes every path, method and field of the pages, and
// the pages answer as it says.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	f := newFactors()
	keys := newPasskeys()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.Factors, a.EmailLogin, c.OpenAPI = []auth.Factor{f.app, f.recovery, keys}, true, true
		a.Limits = auth.Limits{Guesses: -1, Mails: -1, Registrations: -1}
		c.Fields = []pages.Field{{Name: "name", Label: "Name"}, {Name: "news", Label: "News", Type: "checkbox"}}
		a.TrustFor = 30 * 24 * 60 * 60 * 1e9
	})
	provide(t, s.manager.Core)
	s.update("susan", verified)
	id := s.account("susan").ID
	f.app.set(id, true)
	keys.give(id, "key 1", "key 2")
	served := s.client().json("GET", "/openapi.json")
	wantStatus(t, served, 200)
	var d openAPI
	check(t, json.Unmarshal([]byte(served.body), &d))
	if served.body != string(s.pages.OpenAPI()) || d.OpenAPI != "3.1.0" || d.Servers[0].URL != s.url || d.Info.Title == "" {
		t.Errorf("%+v", d.Info)
	}

	// From the table to the document.
	for _, path := range s.pages.Paths() {
		allowed := s.client().json("OPTIONS", path).header.Get("Allow")
		item, ok := d.Paths[path]
		if got := strings.Contains(allowed, "GET"); !ok || got != (item.Get != nil) {
			t.Errorf("GET %s: %v, but the document has it: %v", path, got, item.Get != nil)
		}
		if got := strings.Contains(allowed, "POST"); got != (item.Post != nil) {
			t.Errorf("POST %s: %v, but the document has it: %v", path, got, item.Post != nil)
		}
	}
	// From the document to the pages.
	if len(d.Paths) != len(s.pages.Paths()) {
		t.Errorf("%d paths, want %d", len(d.Paths), len(s.pages.Paths()))
	}
	for path, item := range d.Paths {
		clients := []*client{s.client(), f.enter(s)}
		waiting := s.client()
		waiting.begin()
		clients = append(clients, waiting)
		for _, c := range clients {
			targets := []string{path}
			for _, parameter := range item.Parameters {
				targets = append(targets, path+"?"+parameter.Name+"=recovery", path+"?"+parameter.Name+"=passkey")
			}
			for _, target := range targets {
				if item.Get == nil {
					continue
				}
				for _, fault := range d.described(item.Get, c.json("GET", target)) {
					t.Errorf("GET %s: %s", target, fault)
				}
			}
			if item.Post == nil {
				continue
			}
			for _, fault := range d.described(item.Post, c.json("POST", path)) {
				t.Errorf("POST %s: %s", path, fault)
			}
		}
		if item.Post != nil {
			d.walkFields(t, s, path, item.Post)
		}
	}
	// The fields that pages ask for are described.
	in := f.enter(s)
	for path, item := range d.Paths {
		for _, c := range []*client{s.client(), in} {
			if item.Get == nil || item.Post == nil {
				continue
			}
			r := c.json("GET", path)
			if r.status != 200 || path == "/login/passkey" {
				continue
			}
			d.wantFields(t, path, answerOf(t, r, 200))
		}
	}
}

// walkFields: the path knows every field that the document has, with its type, and no other.
func (d openAPI) walkFields(t *testing.T, s *site, path string, o *operation) {
	t.Helper()
	schema := o.RequestBody.Content["application/json"].Schema
	if schema.Type != "object" {
		t.Errorf("POST %s takes no object", path)
	}
	for name, field := range schema.Properties {
		wrong := map[string][]string{"string": {"true"}, "boolean": {"1", `""`, `"y"`, `"false"`}}[field.Type]
		for _, value := range append([]string{"[]", "null"}, wrong...) {
			r := s.client().raw(http.MethodPost, path, fmt.Sprintf(`{%q:%s}`, name, value))
			if problem := answerOf(t, r, 400); problem.Fields[name] == "" {
				t.Errorf("POST %s: the field %s can be %s: %s", path, name, value, r.body)
			}
		}
	}
	r := s.client().raw(http.MethodPost, path, `{"nobody_asks_for_this":[]}`)
	if known := r.status == http.StatusBadRequest && strings.Contains(r.body, "nobody_asks"); known != (schema.Additional != nil) {
		t.Errorf("POST %s: an unknown field is answered %s", path, r.body)
	}
}

// wantFields: the document has all fields that a page asks for.
func (d openAPI) wantFields(t *testing.T, path string, o object) {
	t.Helper()
	var asked []string
	if o.Form != nil && strings.HasPrefix(o.Form.Action, path) {
		for _, field := range o.Form.Fields {
			asked = append(asked, field.Name)
		}
	}
	for name := range o.Hidden {
		asked = append(asked, name)
	}
	schema := d.Paths[path].Post.RequestBody.Content["application/json"].Schema
	for _, name := range asked {
		if _, ok := schema.Properties[name]; !ok && schema.Additional == nil {
			t.Errorf("the page %s has the field %s, which the document does not have", path, name)
		}
	}
}

// TestOpenAPIIsOff: without the setting, there is no such path. The method works all the same.
func TestOpenAPIIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Prefix = "/auth" })
	wantStatus(t, s.client().json("GET", "/auth/openapi.json"), 404)
	var d openAPI
	check(t, json.Unmarshal(s.pages.OpenAPI(), &d))
	if d.Paths["/auth/login"].Post == nil || slices.Contains(s.pages.Paths(), "/auth/openapi.json") {
		t.Error("the document has no login")
	}
	// The page for accounts at providers is there if there are providers.
	if _, ok := d.Paths["/auth/account/identities"]; ok {
		t.Error("the document has accounts at providers")
	}
	provide(t, s.manager.Core)
	check(t, json.Unmarshal(s.pages.OpenAPI(), &d))
	if d.Paths["/auth/account/identities"].Post == nil {
		t.Error("the document has no accounts at providers")
	}
}

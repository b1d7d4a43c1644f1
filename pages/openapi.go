package pages

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// openAPIPage serves the OpenAPI document, if Config.OpenAPI is set.
func (p *Pages) openAPIPage() *page {
	return &page{
		path: "/openapi.json", url: new(string), absent: !p.cfg.OpenAPI, who: anybody, asset: true,
		stays: "it is served only if OpenAPI is set",
		get: func(*request) answer {
			return answer{by: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				sameForAll(w.Header())
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(p.OpenAPI()) // an error means that the client has hung up
			})}
		},
	}
}

// OpenAPI returns an OpenAPI 3.1 document, in JSON, that describes the pages for programs:
// each path with its methods, what the forms have, and what the answers are. It is made
// from the same table as the pages. The same Config has the same document, except that the page
// for accounts at providers is in it once the manager has providers.
func (p *Pages) OpenAPI() []byte {
	paths := map[string]any{}
	for name, route := range p.routes {
		if route.provided() && len(p.core.Providers()) == 0 {
			continue
		}
		paths[strings.TrimPrefix(name, p.core.BasePath())] = p.pathItem(route) // below BaseURL
	}
	document := map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": strings.TrimSpace(p.cfg.Site + " logins"), "version": "1",
			"description": "Send Accept: application/json. The login is in a cookie. See docs/json.md of github.com/go-login/auth.",
		},
		"servers":    []any{map[string]any{"url": p.auth.BaseURL}},
		"paths":      paths,
		"components": map[string]any{"schemas": map[string]any{"Answer": schemaOf(reflect.TypeFor[jsonAnswer]()), "Problem": schemaOf(reflect.TypeFor[auth.Problem]())}},
	}
	text, _ := json.MarshalIndent(document, "", "  ") // never fails: these are maps and texts
	return append(text, '\n')
}

// pathItem describes one path.
func (p *Pages) pathItem(route route) map[string]any {
	item := map[string]any{}
	gets, posts := route.methods()
	if queries := route.queries(); len(queries) > 0 {
		var parameters []any
		for _, name := range queries {
			parameters = append(parameters, map[string]any{"name": name, "in": "query", "schema": typed("string")})
		}
		item["parameters"] = parameters
	}
	if gets {
		item["get"] = map[string]any{"summary": route.title(), "responses": route.responses()}
	}
	if !posts {
		return item
	}
	properties, open := map[string]any{}, ""
	for _, page := range route.pages() {
		for _, name := range page.allFields() {
			properties[name] = typed("string")
		}
		for _, name := range page.flags {
			properties[name] = typed("boolean")
		}
		open = cmp.Or(open, page.open)
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if open != "" {
		schema["description"] = open
		schema["additionalProperties"] = typed("string")
	}
	item["post"] = map[string]any{
		"summary":     route.title(),
		"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": schema}}},
		"responses":   route.responses(),
	}
	return item
}

// title returns what to call the path's pages.
func (t route) title() string {
	var titles []string
	for _, page := range t.pages() {
		if page.title != nil && !slices.Contains(titles, *page.title) {
			titles = append(titles, *page.title)
		}
	}
	if len(titles) == 0 { // a path without a page, such as /logout
		return strings.Trim(t.page.path, "/")
	}
	return strings.Join(titles, "; ")
}

// queries returns the names of what the path's URLs may have in their query.
func (t route) queries() []string {
	found := map[string]bool{}
	for _, page := range t.pages() {
		for _, name := range page.queries {
			found[name] = true
		}
		if slices.Contains(page.fields, "next") {
			found["next"] = true
		}
		if page.link != nil {
			found["token"] = true
			found["new"] = found["new"] || t.page != nil
		}
	}
	delete(found, "")
	maps.DeleteFunc(found, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(found))
}

// responses describes the answers of a path.
func (t route) responses() map[string]any {
	answer := func(description, kind, schema string) map[string]any {
		content := map[string]any{}
		if schema != "" {
			content["schema"] = map[string]any{"$ref": "#/components/schemas/" + schema}
		}
		return map[string]any{"description": description, "content": map[string]any{kind: content}}
	}
	if t.page != nil && t.page.asset {
		return map[string]any{"200": map[string]any{"description": "the file"}}
	}
	all := map[string]any{
		"200": answer("the data of the page, or where the user goes on", "application/json", "Answer"),
		"4XX": answer("refused; the code says why", "application/problem+json", "Problem"),
		"5XX": answer("failed; try again if it is 503", "application/problem+json", "Problem"),
	}
	if t.page != nil && t.page.raw {
		all["200"] = answer("what to ask the browser for; or where the user goes on", "application/json", "")
	}
	return all
}

func typed(name string) map[string]any { return map[string]any{"type": name} }

// schemaOf returns the JSON schema of a type that encoding/json writes.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{} // what the browser, or its script, gets
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Bool:
		return typed("boolean")
	case reflect.Int:
		return typed("integer")
	case reflect.Struct:
		return schemaOfStruct(t)
	}
	return typed("string")
}

func schemaOfStruct(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		properties[name] = schemaOf(t.Field(i).Type)
		if options == "" {
			required = append(required, name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// Package accept finds out whether a client prefers JSON to HTML.
package accept

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// JSON reports whether a request prefers JSON to HTML by its Accept header (RFC 9110,
// section 12.5.1). Between types of the same quality, the one that the header names
// decides; if it names both, that is HTML, because browsers name HTML. If the header names
// neither, the request prefers JSON if its body is JSON.
//
// Requests of htmx and Inertia never prefer JSON: both show HTML, whatever they accept.
func JSON(r *http.Request) bool {
	h := r.Header
	if !mentionsJSON(h["Accept"]) && !mentionsJSON(h["Content-Type"]) { // most requests; reading all types takes longer
		return false
	}
	if h.Get("HX-Request") == "true" || h.Get("X-Inertia") == "true" {
		return false
	}
	var html, json, problem preference
	for _, line := range h["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			name, quality := parse(part)
			html.consider(name, "text", "html", quality)
			json.consider(name, "application", "json", quality)
			problem.consider(name, "application", "problem+json", quality)
		}
	}
	if problem.named > json.named || problem.named == json.named && problem.quality > json.quality {
		json = problem
	}
	switch {
	case json.named == exact && json.quality > 0:
		return json.quality > html.quality || json.quality == html.quality && html.named < exact
	case html.named == exact && html.quality > 0:
		return false
	}
	return IsJSON(h)
}

// mentionsJSON reports whether json, in any case, is in one of the lines.
func mentionsJSON(lines []string) bool {
	for _, line := range lines {
		for i := range len(line) - 3 {
			if line[i]|' ' == 'j' && strings.EqualFold(line[i:i+4], "json") {
				return true
			}
		}
	}
	return false
}

// IsJSON reports whether a request's body says that it is JSON.
func IsJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// A preference is the quality that an Accept header gives to a type, and how exactly it names
// the type.
type preference struct {
	named   int
	quality float64
}

// How exactly an entry of the header names a type. The most exact entry decides.
const (
	nowhere = iota
	all     // */*
	family  // text/*
	exact   // text/html
)

func (p *preference) consider(name, kind, subtype string, quality float64) {
	named := nowhere
	switch name {
	case kind + "/" + subtype:
		named = exact
	case kind + "/*":
		named = family
	case "*/*":
		named = all
	}
	if named > p.named || named == p.named && named > nowhere && quality > p.quality {
		*p = preference{named, quality}
	}
}

// parse returns the type of an entry and its quality, from 0 to 1. A quality that is not a
// number counts as 0.
func parse(entry string) (name string, quality float64) {
	name, parameters, _ := strings.Cut(entry, ";")
	quality = 1
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0) { // NaN, too
			q = 0
		}
		quality = min(q, 1)
	}
	return strings.ToLower(strings.TrimSpace(name)), quality
}

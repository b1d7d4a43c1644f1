package accept_test

import (
	"net/http"
	"testing"

	"github.com/go-login/auth/internal/accept"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		header http.Header
		want   bool
	}{
		{nil, false},
		{http.Header{"Accept": {"*/*"}}, false},
		{http.Header{"Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}}, false}, // browsers
		{http.Header{"Accept": {"application/json"}}, true},
		{http.Header{"Accept": {"Application/JSON ; charset=utf-8"}}, true},
		{http.Header{"Accept": {"application/problem+json"}}, true},
		{http.Header{"Accept": {"application/json, text/plain, */*"}}, true}, // axios
		{http.Header{"Accept": {"application/json, text/html"}}, false},
		{http.Header{"Accept": {"text/html", "application/json"}}, false},
		{http.Header{"Accept": {"application/json, text/html;q=0.9"}}, true},
		{http.Header{"Accept": {"application/json;q=0.9, text/html"}}, false},
		{http.Header{"Accept": {"application/json;q=0.5, */*;q=0.9"}}, false},
		{http.Header{"Accept": {"application/json;q=0.5, text/*;q=0.4"}}, true},
		{http.Header{"Accept": {"application/json;q=0"}}, false},
		{http.Header{"Accept": {"application/json;q=nan, text/html;q=0.1"}}, false},
		{http.Header{"Accept": {"application/json;q=-1"}}, false},
		{http.Header{"Accept": {"application/json;q=9, text/html"}}, false},
		{http.Header{"Accept": {"application/*"}}, false},
		{http.Header{"Accept": {";;,,=,;q"}}, false},
		{http.Header{"Accept": {"text/json, application/jsonp"}}, false},
		{http.Header{"Content-Type": {"application/json"}}, true},
		{http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json; charset=utf-8"}}, true},
		{http.Header{"Accept": {"text/html"}, "Content-Type": {"application/json"}}, false},
		{http.Header{"Content-Type": {"text/plain"}}, false},
		{http.Header{"Accept": {"application/json"}, "Hx-Request": {"true"}}, false},
		{http.Header{"Accept": {"application/json"}, "X-Inertia": {"true"}}, false},
	} {
		if got := accept.JSON(&http.Request{Header: test.header}); got != test.want {
			t.Errorf("%v: %v", test.header, got)
		}
	}
}

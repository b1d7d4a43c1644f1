package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// Ways back to addresses that an account had are ten at most, so that they do not
// grow without end; the first ones stay good.
func TestUndosAreFew(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.Limits.Mails = -1 })
	_, c := m.susan(t)
	first := ""
	for i := range 10 {
		if _, err := m.confirm(c, m.askEmail(t, c, fmt.Sprintf("new%d@app.example", i))); err != nil {
			t.Fatal(i, err)
		}
		if first == "" {
			first = m.token(t, auth.MailAddressChanged, "susan@app.example")
		}
	}
	_, err := m.confirm(c, m.askEmail(t, c, "new10@app.example"))
	if limited := (*auth.RateLimitError)(nil); !errors.As(err, &limited) || limited.RetryAfter < 72*time.Hour || limited.RetryAfter > 73*time.Hour {
		t.Errorf("the eleventh: %v", err)
	}
	if u, err := m.UndoEmail(t.Context(), first); err != nil || u.Email != "susan@app.example" {
		t.Errorf("the first way back: %v, %v", u, err)
	}
}

package oauth

import "time"

// SetTimeout replaces the time that a provider has for an answer.
func (h *Handler) SetTimeout(d time.Duration) (before time.Duration) {
	for _, p := range h.remotes {
		before, p.client.Timeout = p.client.Timeout, d
	}
	return before
}

// AppleKeyID and the like are for tests of the client secret.
var AppleSecret = appleSecret

// ReadAnswer is for the fuzz test.
var ReadAnswer = readAnswer

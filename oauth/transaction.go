package oauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/go-login/auth"
)

const (
	transactionLasts = 10 * time.Minute
	maxTransactions  = 5 // in one browser; a new one ends the oldest
)

// A purpose is what a user goes to a provider for.
type purpose string

const (
	toLogin   purpose = "login"
	toLink    purpose = "link"    // connect an account there to the current user
	toConfirm purpose = "confirm" // make the current login fresh
)

// A transaction is one visit to a provider, from the start to the callback. It is kept in a
// record that works once, under a hash of the state. A cookie binds it to the browser.
type transaction struct {
	Provider string // its Name
	Issuer   string
	Nonce    string
	Verifier string // of PKCE
	Purpose  purpose
	Next     string
	Remember bool
	UserID   string // for toLink and toConfirm: whose login began it
	Stamp    string // of this user
	Began    time.Time
}

// A binding is in the cookie of a transaction.
type binding struct {
	Key      string // of the transaction's record
	Provider string
	Began    time.Time
}

// newSecret returns 32 random bytes as text.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// transactionKey is what the record and the cookie of a transaction are called.
func transactionKey(state string) string {
	sum := sha256.Sum256([]byte("transaction\x00" + state))
	return hex.EncodeToString(sum[:16])
}

// recordOf is the key of the transaction's record.
func recordOf(key string) string { return "transaction/" + key }

// begin stores a transaction, and sets its cookie. It returns the state.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, t *transaction) (state string, err error) {
	state = newSecret()
	t.Nonce, t.Verifier, t.Began = newSecret(), oauth2.GenerateVerifier(), h.feature.Now()
	key, until := transactionKey(state), t.Began.Add(transactionLasts)
	err = h.feature.Insert(r.Context(), auth.Record{Key: recordOf(key), Data: []byte(h.seal(sealedTransaction, t, until)), Expires: until})
	if err != nil {
		return "", err
	}
	h.makeRoom(w, r)
	c := h.feature.Cookie(cookiePrefix + key)
	c.Value, c.MaxAge = h.seal(sealedBinding, binding{key, t.Provider, t.Began}, until), int(transactionLasts/time.Second)
	http.SetCookie(w, &c)
	return state, nil
}

const cookiePrefix = "to-"

// makeRoom ends the oldest transactions of the browser, so that one more fits.
func (h *Handler) makeRoom(w http.ResponseWriter, r *http.Request) {
	prefix := h.feature.Cookie(cookiePrefix).Name
	var old []binding
	for _, c := range r.Cookies() {
		key, ok := strings.CutPrefix(c.Name, prefix)
		if !ok {
			continue
		}
		var b binding
		if !h.open(sealedBinding, c.Value, &b) || b.Key != key {
			b = binding{Key: key} // of no use any more: the first to go
		}
		old = append(old, b)
	}
	slices.SortFunc(old, func(a, b binding) int { return cmp.Or(a.Began.Compare(b.Began), strings.Compare(a.Key, b.Key)) })
	for len(old) >= maxTransactions {
		h.forgetCookie(w, old[0].Key)
		if !old[0].Began.IsZero() {
			_, _ = h.feature.Take(r.Context(), recordOf(old[0].Key)) // it expires in any case
		}
		old = old[1:]
	}
}

// forgetCookie deletes the cookie of a transaction.
func (h *Handler) forgetCookie(w http.ResponseWriter, key string) {
	c := h.feature.Cookie(cookiePrefix + key)
	c.MaxAge = -1
	http.SetCookie(w, &c)
}

// finish takes the transaction that an answer belongs to. It returns errNoTransaction if this
// browser has begun none with this state at this provider, or if it is over.
func (h *Handler) finish(ctx context.Context, w http.ResponseWriter, r *http.Request, p *remote, state string) (*transaction, error) {
	key := transactionKey(state)
	var b binding
	c, err := r.Cookie(h.feature.Cookie(cookiePrefix + key).Name)
	if err != nil || !h.open(sealedBinding, c.Value, &b) || b.Key != key || b.Provider != p.Name {
		return nil, errNoTransaction
	}
	h.forgetCookie(w, key)
	record, err := h.feature.Take(ctx, recordOf(key))
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil, errNoTransaction
	}
	if err != nil {
		return nil, err
	}
	t := &transaction{}
	if !h.open(sealedTransaction, string(record.Data), t) || t.Provider != p.Name || t.Issuer != p.issuer() {
		return nil, errNoTransaction
	}
	return t, nil
}

var errNoTransaction = errors.New("oauth: this browser has not begun this login, or it is over")

// What a sealed text is for. One kind is never taken for another.
const (
	sealedTransaction = "transaction"
	sealedBinding     = "binding"
	sealedAnswer      = "answer"
	sealedTokens      = "tokens"
)

// seal encodes a value, and encrypts and signs it.
func (h *Handler) seal(kind string, v any, until time.Time) string {
	data, _ := json.Marshal(v) // of types that cannot fail
	return h.feature.Seal(append([]byte(kind+"\x00"), data...), until)
}

// open decodes what seal was given. It returns false if the text is of no use.
func (h *Handler) open(kind, text string, v any) bool {
	data, ok := h.feature.Open(text)
	if !ok {
		return false
	}
	value, ok := strings.CutPrefix(string(data), kind+"\x00")
	return ok && json.Unmarshal([]byte(value), v) == nil
}

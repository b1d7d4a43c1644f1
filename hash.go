package auth

import (
	"context"
	"log/slog"
	"strings"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/passhash"
)

// DefaultHashParams returns the default parameters of new password hashes: Argon2id with
// 19,456 KiB of memory, two passes and one lane, a salt of 16 bytes and a tag of 32 bytes.
// They are the second choice of OWASP's password storage cheat sheet. They follow RFC 9106,
// section 4, in everything except the memory. They do not depend on the processors of the
// machine: a hash costs the same wherever it is made, and takes the same time to verify
// on every server.
func DefaultHashParams() argon2id.Params {
	return passhash.DefaultParams()
}

// A hasher is a passhash.Hasher whose hashes are Secrets, so that none is printed by
// accident, and whose computations are traced. Each method does what the method of the same
// name of passhash.Hasher does.
type hasher struct {
	*passhash.Hasher

	trace TraceFunc
}

func newHasher(params *argon2id.Params, memory int64, peppers []Pepper, logger *slog.Logger, trace TraceFunc) (hasher, error) {
	keys := make([]passhash.Pepper, len(peppers))
	for i, p := range peppers {
		keys[i] = passhash.Pepper(p)
	}
	h, err := passhash.NewHasher(*params, memory, keys, logger)
	return hasher{h, trace}, err
}

func (h hasher) Hash(ctx context.Context, password string) (Secret, error) {
	ctx, end := h.trace.begin(ctx, "hash", "make")
	err := errPanicked
	defer func() { end(err) }()
	hash, err := h.Hasher.Hash(ctx, password)
	return NewSecret(hash), err
}

func (h hasher) Wrap(ctx context.Context, stored Secret) (Secret, error) {
	ctx, end := h.trace.begin(ctx, "hash", "make")
	err := errPanicked
	defer func() { end(err) }()
	hash, err := h.Hasher.Wrap(ctx, stored.Reveal())
	return NewSecret(hash), err
}

// A verification is a passhash.Verification whose new hash is a Secret.
type verification struct {
	ok       bool
	renewed  Secret // if the password is right, its hash is outdated, and a new one was asked for
	unusable error
}

func (h hasher) Verify(ctx context.Context, stored Secret, password string, renew bool) (verification, error) {
	ctx, end := h.trace.begin(ctx, "hash", "verify")
	err := errPanicked
	defer func() { end(err) }()
	v, err := h.Hasher.Verify(ctx, stored.Reveal(), password, renew)
	return verification{v.OK, NewSecret(v.Renewed), v.Unusable}, err
}

// voidPrefix stands before a password hash that ForceReset has voided. The hash is kept, so
// that a user who types the right password can be told to reset it. With the prefix no
// library and no older version takes it for a hash.
const voidPrefix = "$reset$"

// maxStoredHash is the most bytes in Account.PasswordHash.
const maxStoredHash = 400

// voided returns a hash that no password matches. A hash without room for the prefix becomes
// empty: the account then has no password.
func voided(hash Secret) Secret {
	text := hash.Reveal()
	switch {
	case text == "" || strings.HasPrefix(text, voidPrefix):
		return hash
	case len(text)+len(voidPrefix) > maxStoredHash:
		return Secret{}
	}
	return NewSecret(voidPrefix + text)
}

// unvoided returns the hash that was voided, and whether it was.
func unvoided(hash Secret) (Secret, bool) {
	text, void := strings.CutPrefix(hash.Reveal(), voidPrefix)
	if !void {
		return hash, false
	}
	return NewSecret(text), true
}
